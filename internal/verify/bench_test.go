package verify

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// BenchmarkRun verifies a sale of 20,000 paid registrations, each with one
// command, four snapshots, two answers of its block and two versions of its
// payment, and their table values. registrations/s and the memory that is held
// for each are the figures; the brokers are in the same process.
func BenchmarkRun(b *testing.B) {
	const registrations = 20_000
	world := newBooks()
	world.fill(registrations)
	o := world.options(b)
	var peak runtime.MemStats
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	o.Progress = func(topic string, done, total int64) {
		if topic == topology.RegistrationCommands.Name && done == total {
			runtime.GC()
			runtime.ReadMemStats(&peak)
		}
	}
	for b.Loop() {
		r, err := Run(b.Context(), o)
		if err != nil {
			b.Fatal(err)
		}
		if !r.OK() {
			b.Fatal(text(r))
		}
	}
	b.ReportMetric(float64(b.N*registrations)/b.Elapsed().Seconds(), "registrations/s")
	b.ReportMetric(float64(peak.HeapAlloc-before.HeapAlloc)/registrations, "B/registration")
}

// fill adds paid registrations for one ticket each, in blocks of 50.
func (b *books) fill(n int) {
	for i := range n {
		seat := i % 50
		ticketType := fmt.Sprintf("hall-%d", i/50)
		if seat == 0 {
			b.blocks[ticketType] = &pb.Block{Free: 50, Status: pb.BlockStatus_BLOCK_STATUS_OPEN, Size: 50, Version: 1, EventId: fair[:], TicketType: ticketType, Number: 1}
			b.put(topology.InventoryTable, topology.BlockKey(fair[:], ticketType, 1), b.blocks[ticketType])
			b.put(topology.BlockEvents, fair.String(), &pb.BlockEvent{
				Kind: pb.BlockEventKind_BLOCK_EVENT_KIND_OPENED, EventId: fair[:],
				TicketType: ticketType, Block: 1, BlockVersion: 1, BlockSize: 50, Free: 50, Changed: true,
			})
		}
		id := topology.RegistrationID("acme", fmt.Sprint("buyer-", i))
		b.register(id, &pb.Line{TicketType: ticketType, Quantity: 1, UnitPriceMinor: 5_000})
		b.take(id, []string{ticketType}, 1<<seat)
		b.capture(id)
		b.confirm(id, ticketType)
	}
}
