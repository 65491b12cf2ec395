package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// place is where events take place: it decides currency, tax and the hours at
// which people there buy.
type place struct {
	city, venue, region, currency string
	// zone is the hours by which the place is ahead of UTC.
	zone int
	// unit is what a price of "1" is in minor units.
	unit    int64
	taxRate uint32
	taxMode pb.TaxMode
	weight  float64
}

var places = []place{
	{"Berlin", "Velodrom", "eu-central", "EUR", 1, 100, 700, pb.TaxMode_TAX_MODE_INCLUDED, 5},
	{"Paris", "Le Zénith", "eu-west", "EUR", 1, 100, 550, pb.TaxMode_TAX_MODE_INCLUDED, 4},
	{"Madrid", "WiZink Center", "eu-south", "EUR", 1, 100, 2_100, pb.TaxMode_TAX_MODE_INCLUDED, 3},
	{"London", "Olympia", "uk", "GBP", 0, 100, 2_000, pb.TaxMode_TAX_MODE_INCLUDED, 4},
	{"New York", "Terminal 5", "us-east", "USD", -5, 100, 888, pb.TaxMode_TAX_MODE_ON_TOP, 4},
	{"San Francisco", "Moscone Center", "us-west", "USD", -8, 100, 863, pb.TaxMode_TAX_MODE_ON_TOP, 2},
	{"Zürich", "Hallenstadion", "eu-central", "CHF", 1, 100, 810, pb.TaxMode_TAX_MODE_INCLUDED, 2},
	{"東京", "東京国際フォーラム", "ap-northeast", "JPY", 9, 100, 1_000, pb.TaxMode_TAX_MODE_INCLUDED, 2},
	{"Kuwait City", "The Arena", "me-central", "KWD", 3, 300, 0, pb.TaxMode_TAX_MODE_EXEMPT, 1},
}

// sort of event: its name and what it charges, in units of the place.
type sort struct {
	name  string
	types []ticket
	// places is the usual size.
	places float64
	// rush is the share of the demand that comes when the sale opens.
	rush float64
}

type ticket struct {
	id, name string
	price    float64
	// share of the places, and of the demand.
	share float64
}

var sorts = []sort{
	{"Developer Conference", []ticket{{"early-bird", "Early Bird", 249, 0.25}, {"standard", "Standard", 399, 0.65}, {"workshop", "Workshop Pass", 690, 0.1}}, 2_400, 0.15},
	{"Open Air Festival", []ticket{{"weekend", "Weekend", 129, 0.7}, {"day", "Day", 65, 0.22}, {"vip", "VIP", 280, 0.08}}, 14_000, 0.35},
	{"Symphony Night", []ticket{{"category-a", "Category A", 96, 0.25}, {"category-b", "Category B", 64, 0.45}, {"category-c", "Category C", 32, 0.3}}, 1_800, 0.1},
	{"Stand-up Special", []ticket{{"stalls", "Stalls", 38, 0.7}, {"balcony", "Balcony", 29, 0.3}}, 900, 0.25},
	{"Arena Tour", []ticket{{"standing", "Standing", 79, 0.5}, {"seated", "Seated", 99, 0.42}, {"front", "Front of Stage", 159, 0.08}}, 9_000, 0.6},
	{"Community Meetup", []ticket{{"free", "Free", 0, 0.8}, {"supporter", "Supporter", 15, 0.2}}, 400, 0.05},
	{"City Marathon", []ticket{{"full", "Marathon", 85, 0.6}, {"half", "Half Marathon", 55, 0.4}}, 8_000, 0.3},
}

var organisers = []string{"acme-live", "nordlicht", "blue-note", "kultur-ev", "stagecraft", "runwell"}

// event is a planned event and the orders that it gets.
type event struct {
	pb    *pb.Event
	place place
	sort  sort
	// orders is how many orders come within the past.
	orders int
	// left are the free places by ticket type, sold those that are taken.
	left, sold []int
	cancelled  time.Time // zero unless the event is cancelled
}

const (
	blockSize = 50
	// cancelledEvery event is called off.
	cancelledEvery = 31
)

// plan makes event number i of the past.
func (h *History) plan(i, orders int) *event {
	r := h.random(i, streamPlan)
	where := pick(r, places, func(p place) float64 { return p.weight })
	kind := sorts[r.IntN(len(sorts))]
	id := topology.EventID("history", fmt.Sprintf("%d/%d", h.cfg.Seed, i))
	saleStart, starts := h.window(r, where)
	e := &event{place: where, sort: kind, orders: orders, pb: &pb.Event{
		EventId: id[:], Organiser: organisers[r.IntN(len(organisers))], Name: fmt.Sprintf("%s %s %d", where.city, kind.name, starts.Year()),
		Venue: where.venue, Region: where.region, Currency: where.currency, StartsAtUnixMs: starts.UnixMilli(),
		SaleStartsUnixMs: saleStart.UnixMilli(), SaleEndsUnixMs: starts.UnixMilli(), Status: pb.EventStatus_EVENT_STATUS_ON_SALE,
		CreatedAtUnixMs: saleStart.AddDate(0, 0, -14).UnixMilli(), ChangedAtUnixMs: saleStart.AddDate(0, 0, -14).UnixMilli(),
		Version: 2, BlockListVersion: 1, MaxPerAttendee: 0,
	}}
	// How many places there are follows from the demand: a third sells out.
	demand := float64(orders) * ticketsPerOrder
	tickets := demand * (0.7 + r.Float64()*0.9)
	level := math.Exp(r.NormFloat64() * 0.2) // one event is dearer than the other
	for _, t := range kind.types {
		e.addType(t, tickets, level)
	}
	if i%cancelledEvery == cancelledEvery-1 {
		at := saleStart.Add(time.Duration((0.3 + 0.6*r.Float64()) * float64(starts.Sub(saleStart))))
		if at.After(later(saleStart, h.cfg.begin()).Add(time.Hour)) && at.Before(h.cfg.Until) {
			e.cancelled = at
			e.pb.Status, e.pb.CancelReason, e.pb.Version = pb.EventStatus_EVENT_STATUS_CANCELLED, "artist_ill", 3
			e.pb.ChangedAtUnixMs = at.UnixMilli()
		}
	}
	return e
}

// window is when the sale starts and when the event does. Some events were on sale
// before the past begins, some still are at its end.
func (h *History) window(r *rand.Rand, where place) (saleStart, starts time.Time) {
	begin, zone := h.cfg.begin(), time.Duration(where.zone)*time.Hour
	saleStart = begin.Add(days24((r.Float64()*1.1 - 0.15) * float64(h.cfg.Days))).Truncate(24 * time.Hour).Add(10*time.Hour - zone)
	if latest := h.cfg.Until.Add(-6 * time.Hour); saleStart.After(latest) {
		saleStart = latest
	}
	starts = saleStart.Add(days24(30 + r.Float64()*120)).Truncate(24 * time.Hour).Add(19*time.Hour - zone)
	return saleStart, later(starts, begin.Add(72*time.Hour))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (e *event) addType(t ticket, tickets, level float64) {
	capacity := max(int(tickets*t.share), 1)
	price := int64(math.Round(t.price*level)) * e.place.unit
	mode, rate := e.place.taxMode, e.place.taxRate
	if price == 0 {
		mode, rate = pb.TaxMode_TAX_MODE_EXEMPT, 0
	}
	var blocks []uint32
	for left := capacity; left > 0; left -= blockSize {
		blocks = append(blocks, uint32(min(left, blockSize)))
	}
	states := make([]byte, len(blocks))
	for i := range states {
		states[i] = 1 // open
	}
	e.pb.TicketTypes = append(e.pb.TicketTypes, &pb.TicketType{
		Id: t.id, Name: t.name, PriceMinor: price, TaxRateBp: rate, TaxMode: mode, BlockSizes: blocks, BlockStates: states,
	})
	e.left, e.sold = append(e.left, capacity), append(e.sold, 0)
}

// share divides the registrations among the events: few are large, many small.
func (h *History) share() []int {
	r := h.random(0, streamShare)
	weights := make([]float64, h.cfg.Events)
	total := 0.0
	for i := range weights {
		weights[i] = math.Exp(r.NormFloat64())
		total += weights[i]
	}
	orders := make([]int, len(weights))
	left := h.cfg.Registrations - len(orders) // each event gets one at least
	given := 0
	for i, w := range weights {
		orders[i] = 1 + int(float64(left)*w/total)
		given += orders[i]
	}
	orders[0] += h.cfg.Registrations - given
	return orders
}

func pick[T any](r *rand.Rand, from []T, weight func(T) float64) T {
	total := 0.0
	for _, v := range from {
		total += weight(v)
	}
	at := r.Float64() * total
	for _, v := range from {
		if at -= weight(v); at < 0 {
			return v
		}
	}
	return from[len(from)-1]
}

func days24(days float64) time.Duration { return time.Duration(days * 24 * float64(time.Hour)) }
