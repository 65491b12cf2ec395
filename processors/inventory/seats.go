package inventory

import (
	"bytes"
	"fmt"
	"math/bits"
	"slices"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

const (
	idSize = 16
	// maxBlockSize is the number of seats that one mask can carry.
	maxBlockSize = 64
)

// all is the mask of every seat of a block of the given size.
func all(size uint32) uint64 {
	if size >= maxBlockSize {
		return ^uint64(0)
	}
	return 1<<size - 1
}

// owned is the mask of the seats that have an owner.
func owned(b *pb.Block) uint64 {
	var mask uint64
	for _, s := range b.GetSeats() {
		mask |= s
	}
	return mask
}

// lowest returns the n lowest set bits of mask, or all of them if there are
// fewer.
func lowest(mask uint64, n uint32) uint64 {
	if uint32(bits.OnesCount64(mask)) <= n {
		return mask
	}
	var picked uint64
	for range n {
		bit := mask & -mask
		picked |= bit
		mask &^= bit
	}
	return picked
}

// find returns the index of a hold in the packed lists, or -1.
func find(b *pb.Block, holdID []byte) int {
	ids := b.GetHoldIds()
	for i := 0; i+idSize <= len(ids); i += idSize {
		if bytes.Equal(ids[i:i+idSize], holdID) {
			return i / idSize
		}
	}
	return -1
}

func registrationOf(b *pb.Block, i int) []byte {
	return b.GetRegistrationIds()[i*idSize : (i+1)*idSize]
}

func holdOf(b *pb.Block, i int) []byte {
	return b.GetHoldIds()[i*idSize : (i+1)*idSize]
}

// add gives the seats to a hold that owns none.
func add(b *pb.Block, holdID, registrationID []byte, seats uint64) {
	b.HoldIds = append(b.HoldIds, holdID...)
	b.RegistrationIds = append(b.RegistrationIds, registrationID...)
	b.Seats = append(b.Seats, seats)
}

// remove takes the seats from hold i.
func remove(b *pb.Block, i int) {
	b.Sold &^= b.Seats[i]
	b.HoldIds = slices.Delete(b.HoldIds, i*idSize, (i+1)*idSize)
	b.RegistrationIds = slices.Delete(b.RegistrationIds, i*idSize, (i+1)*idSize)
	b.Seats = slices.Delete(b.Seats, i, i+1)
}

// recount raises the version and counts the seats without an owner again: free
// in an open block, withdrawn in a closed one.
func recount(b *pb.Block) {
	b.Version++
	unowned := b.Size - uint32(bits.OnesCount64(owned(b)))
	if b.Status == pb.BlockStatus_BLOCK_STATUS_OPEN {
		b.Free, b.Withdrawn = unowned, 0
	} else {
		b.Free, b.Withdrawn = 0, unowned
	}
}

// figures are the counts that every answer carries.
type figures struct {
	held, sold uint32
}

func count(b *pb.Block) figures {
	sold := uint32(bits.OnesCount64(b.GetSold()))
	return figures{held: uint32(bits.OnesCount64(owned(b))) - sold, sold: sold}
}

// check is invariant I1 of one block. It is asked before and after every
// command, so that neither a damaged value nor a wrong transition goes on.
func check(b *pb.Block) error {
	if b == nil {
		return nil
	}
	if b.Size > maxBlockSize {
		return fmt.Errorf("I1: size %d is more than %d", b.Size, maxBlockSize)
	}
	n := len(b.Seats)
	if len(b.HoldIds) != n*idSize || len(b.RegistrationIds) != n*idSize {
		return fmt.Errorf("I1: %d seat masks beside %d bytes of hold ids and %d of registration ids",
			n, len(b.HoldIds), len(b.RegistrationIds))
	}
	var union uint64
	for i, seats := range b.Seats {
		switch {
		case seats == 0:
			return fmt.Errorf("I1: hold %x owns nothing", holdOf(b, i))
		case seats&^all(b.Size) != 0:
			return fmt.Errorf("I1: hold %x owns seats %#x outside a block of %d", holdOf(b, i), seats, b.Size)
		case seats&union != 0:
			return fmt.Errorf("I1: seats %#x of hold %x have another owner too", seats&union, holdOf(b, i))
		case seats&b.Sold != 0 && seats&b.Sold != seats:
			return fmt.Errorf("I1: hold %x is sold in part: %#x of %#x", holdOf(b, i), seats&b.Sold, seats)
		}
		union |= seats
	}
	if b.Sold&^union != 0 {
		return fmt.Errorf("I1: sold seats %#x have no owner", b.Sold&^union)
	}
	if total := b.Free + b.Withdrawn + uint32(bits.OnesCount64(union)); total != b.Size {
		return fmt.Errorf("I1: free %d + withdrawn %d + owned %d is not the size %d",
			b.Free, b.Withdrawn, bits.OnesCount64(union), b.Size)
	}
	return checkStatus(b)
}

func checkStatus(b *pb.Block) error {
	switch b.Status {
	case pb.BlockStatus_BLOCK_STATUS_OPEN:
		if b.Withdrawn != 0 {
			return fmt.Errorf("I1: an open block has %d withdrawn seats", b.Withdrawn)
		}
	case pb.BlockStatus_BLOCK_STATUS_CLOSED:
		if b.Free != 0 {
			return fmt.Errorf("I1: a closed block has %d free seats", b.Free)
		}
	default:
		return fmt.Errorf("I1: a block of status %v", b.Status)
	}
	return nil
}
