package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/problem"
	"github.com/eventpro/boxoffice/internal/stream"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Limits of the event cache and of the requests that wait for an event.
const (
	eventsCachedMax = 4096
	waitersMax      = 1024
)

// events resolves event ids. It keeps decoded events for a short time, because
// an on-sale asks for the same event thousands of times a second and decoding
// its block list costs more than the rest of the request.
type events struct {
	catalogue Catalogue
	wait      time.Duration
	ttl       time.Duration
	now       func() time.Time
	// waiting bounds the requests that hang on unknown events.
	waiting chan struct{}

	mu     sync.RWMutex
	cached map[uuid.UUID]cachedEvent
}

type cachedEvent struct {
	event *pb.Event
	until time.Time
}

func newEvents(cfg *Config) *events {
	return &events{
		catalogue: cfg.Catalogue, wait: cfg.UnknownEventWait, ttl: cfg.CatalogueTTL, now: time.Now,
		waiting: make(chan struct{}, waitersMax), cached: map[uuid.UUID]cachedEvent{},
	}
}

// of returns an organiser's event, which callers must not change. The error is
// a *problem.Problem: event_unknown (also when it is another organiser's),
// view_recovering or overloaded.
func (e *events) of(ctx context.Context, organiser string, id uuid.UUID) (*pb.Event, error) {
	event, err := e.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if event == nil || event.Organiser != organiser || event.Status == pb.EventStatus_EVENT_STATUS_UNKNOWN {
		return nil, problem.New(problem.EventUnknown, "There is no event %s of this organiser; check the event id and the API key.", id)
	}
	return event, nil
}

func (e *events) find(ctx context.Context, id uuid.UUID) (*pb.Event, error) {
	now := e.now()
	e.mu.RLock()
	hit, ok := e.cached[id]
	e.mu.RUnlock()
	if ok && now.Before(hit.until) {
		return hit.event, nil
	}
	event, err := e.get(id)
	if err != nil {
		return nil, err
	}
	if !opened(event) {
		if event, err = e.await(ctx, id); err != nil {
			return nil, err
		}
	}
	if opened(event) {
		e.keep(id, cachedEvent{event, now.Add(e.ttl)})
	}
	return event, nil
}

// opened reports whether an event is known and past its opening: what comes
// after that is worth keeping, what comes before is worth waiting for.
func opened(event *pb.Event) bool {
	return event.GetStatus() == pb.EventStatus_EVENT_STATUS_ON_SALE ||
		event.GetStatus() == pb.EventStatus_EVENT_STATUS_CANCELLED
}

func (e *events) keep(id uuid.UUID, c cachedEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.cached) >= eventsCachedMax {
		clear(e.cached)
	}
	e.cached[id] = c
}

// get reads the catalogue as it is now; nil for an unknown event.
func (e *events) get(id uuid.UUID) (*pb.Event, error) {
	value, err := e.catalogue.Get(id.String())
	if err != nil {
		return nil, catalogueProblem(err)
	}
	return asEvent(value), nil
}

// await waits a short while for an event that another instance may have created
// a moment ago: its rightful registrations must not be refused because this
// instance's view lags behind (trace 7).
func (e *events) await(ctx context.Context, id uuid.UUID) (*pb.Event, error) {
	select {
	case e.waiting <- struct{}{}:
		defer func() { <-e.waiting }()
	default:
		return nil, problem.New(problem.Overloaded, "Too many requests wait for events that are not known yet; repeat the request after Retry-After.")
	}
	ctx, cancel := context.WithTimeout(ctx, e.wait)
	defer cancel()
	value, err := e.catalogue.WaitFor(ctx, id.String(), func(m proto.Message) bool { return opened(asEvent(m)) })
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return nil, catalogueProblem(err)
	}
	return asEvent(value), nil
}

func asEvent(m proto.Message) *pb.Event {
	event, _ := m.(*pb.Event)
	return event
}

func catalogueProblem(err error) error {
	if errors.Is(err, stream.ErrRecovering) {
		return problem.New(problem.ViewRecovering, "The catalogue of events is still being read; repeat the request after Retry-After.")
	}
	return fmt.Errorf("look up an event: %w", err)
}

// openForSale checks that tickets of an event can be had now. The sale window
// counts by the time of the request at the door.
func openForSale(event *pb.Event, now time.Time) error {
	switch event.Status {
	case pb.EventStatus_EVENT_STATUS_CANCELLED:
		return problem.New(problem.EventCancelled, "The event was cancelled; nothing can be bought any more.")
	case pb.EventStatus_EVENT_STATUS_OPENING:
		return problem.New(problem.EventOpening, "The places of the event are still being opened; repeat the request after Retry-After.")
	}
	ms := now.UnixMilli()
	if start := event.SaleStartsUnixMs; ms < start {
		return problem.New(problem.SaleNotStarted, "The sale starts at %s; come back then.", time.UnixMilli(start).UTC().Format(time.RFC3339))
	}
	if end := event.SaleEndsUnixMs; end > 0 && ms >= end {
		return problem.New(problem.SaleEnded, "The sale ended at %s; nothing can be bought any more.", time.UnixMilli(end).UTC().Format(time.RFC3339))
	}
	return nil
}
