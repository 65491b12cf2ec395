package topology

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Ids are derived, never drawn: UUIDv5 over the cause, the purpose and the
// index, under this namespace. The namespace is for ever.
var namespace = uuid.MustParse("9d3f6f0e-6b53-5c0e-9a34-1d4c7b1f2a10")

func derive(purpose string, parts ...[]byte) uuid.UUID {
	n := len(purpose) + 1
	for _, p := range parts {
		n += 4 + len(p)
	}
	name := make([]byte, 0, n)
	name = append(name, purpose...)
	name = append(name, 0)
	for _, p := range parts {
		name = binary.BigEndian.AppendUint32(name, uint32(len(p)))
		name = append(name, p...)
	}
	return uuid.NewSHA1(namespace, name)
}

func number(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// EventID is the id of the event that an organiser creates under an
// idempotency key.
func EventID(organiser, idempotencyKey string) uuid.UUID {
	return derive("event", []byte(organiser), []byte(idempotencyKey))
}

// RegistrationID is the id of the registration that an organiser's client
// makes under an idempotency key.
func RegistrationID(organiser, idempotencyKey string) uuid.UUID {
	return derive("registration", []byte(organiser), []byte(idempotencyKey))
}

// HoldID is the id of one request for seats: two lines of one ticket type, or
// two attempts at one block, never share it.
func HoldID(registration uuid.UUID, line, attempt, block uint32) uuid.UUID {
	return derive("hold", registration[:], number(line), number(attempt), number(block))
}

// PaymentID is the id of a registration's one payment.
func PaymentID(registration uuid.UUID) uuid.UUID {
	return derive("payment", registration[:])
}

// RefundID is the id of the refund number index (from 0) of a payment.
func RefundID(payment uuid.UUID, index uint32) uuid.UUID {
	return derive("refund", payment[:], number(index))
}

// TicketID is the id of the ticket for one seat of a sold hold.
func TicketID(hold uuid.UUID, seat uint32) uuid.UUID {
	return derive("ticket", hold[:], number(seat))
}

// DeadLetterID is the id of the dead letter for one record of a group.
func DeadLetterID(group, topic string, partition int32, offset int64) uuid.UUID {
	return derive("dead-letter", []byte(group), []byte(topic), number(uint32(partition)),
		binary.BigEndian.AppendUint64(nil, uint64(offset)))
}

// OperatorActionID is the id of what an operator did: of the kind of action, and
// of the record, saga or payment that it was done to.
func OperatorActionID(kind uint32, on string) uuid.UUID {
	return derive("operator-action", number(kind), []byte(on))
}

// UUID reads an id of 16 bytes; the zero UUID stands for anything else.
func UUID(b []byte) uuid.UUID {
	id, err := uuid.FromBytes(b)
	if err != nil {
		return uuid.UUID{}
	}
	return id
}

// KeyOf is the record key of an id: its text form, readable in every tool.
func KeyOf(id []byte) string { return UUID(id).String() }

// BlockKey is the record key of a seat block: "event/ticket-type/NNNN".
func BlockKey(event []byte, ticketType string, block uint32) string {
	return KeyOf(event) + "/" + ticketType + "/" + fmt.Sprintf("%04d", block)
}

// ParseBlockKey is the inverse of BlockKey.
func ParseBlockKey(key string) (event uuid.UUID, ticketType string, block uint32, err error) {
	parts := strings.Split(key, "/")
	if len(parts) != 3 {
		return event, "", 0, fmt.Errorf("block key %q: want event/ticket-type/number", key)
	}
	if event, err = uuid.Parse(parts[0]); err != nil {
		return event, "", 0, fmt.Errorf("block key %q: %w", key, err)
	}
	n, err := strconv.ParseUint(parts[2], 10, 32)
	if err != nil {
		return event, "", 0, fmt.Errorf("block key %q: %w", key, err)
	}
	return event, parts[1], uint32(n), nil
}
