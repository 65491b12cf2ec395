package ingest

import (
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// countingCatalogue counts look-ups.
type countingCatalogue struct {
	*fakeCatalogue
	mu   sync.Mutex
	gets int
}

func (c *countingCatalogue) Get(key string) (proto.Message, error) {
	c.mu.Lock()
	c.gets++
	c.mu.Unlock()
	return c.fakeCatalogue.Get(key)
}

// An on-sale asks for one event all the time: it is decoded once a while, and a
// change is seen after that while at the latest.
func TestEventCache(t *testing.T) {
	t.Parallel()
	counted := &countingCatalogue{fakeCatalogue: newFakeCatalogue(conference())}
	b := newBench(t, func(c *Config) { c.Catalogue, c.CatalogueTTL = counted, time.Minute })
	now := inSale
	b.events.now = func() time.Time { return now }
	for range 5 {
		b.do("POST", "/v1/registrations", orderBody())
	}
	if counted.gets != 1 {
		t.Errorf("%d look-ups", counted.gets)
	}
	cancelled := conference()
	cancelled.Status = pb.EventStatus_EVENT_STATUS_CANCELLED
	counted.put(cancelled)
	now = now.Add(time.Minute)
	if a := b.do("POST", "/v1/registrations", orderBody(), key("later")); a.code() != "event_cancelled" {
		t.Errorf("after the while: %s", a.body)
	}
}

// Requests for unknown events pile up: beyond the bound they are told to come
// back, so that they do not hold memory.
func TestWaitersAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range waitersMax {
		b.events.waiting <- struct{}{}
	}
	other := orderBody(eventID.String(), registrationID("no event").String())
	if a := b.do("POST", "/v1/registrations", other); a.status != 429 || a.code() != "overloaded" {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	if a := b.do("POST", "/v1/registrations", orderBody()); a.status != 202 {
		t.Errorf("a known event: %d %s", a.status, a.body)
	}
}

// The memory of the cache is bounded, whatever number of events is asked for.
func TestEventCacheIsBounded(t *testing.T) {
	t.Parallel()
	e := newEvents(&Config{Catalogue: newFakeCatalogue()})
	for i := range 3 * eventsCachedMax {
		e.keep([16]byte{byte(i), byte(i >> 8), byte(i >> 16)}, cachedEvent{})
	}
	if n := len(e.cached); n > eventsCachedMax {
		t.Errorf("%d events kept", n)
	}
}
