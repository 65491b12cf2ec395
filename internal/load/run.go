package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// ErrStalled ends a run in which nothing moves any more though registrations
// are still open.
var ErrStalled = errors.New("registrations were accepted and are not decided and settled")

const (
	cancellers = 4
	// endPoll is how often the end of a run is looked for.
	endPoll = 20 * time.Millisecond
)

// run is one run under way.
type run struct {
	cfg       Config
	plan      *Plan
	door      *door
	file      *acceptedFile
	pace      *pace
	tracker   *tracker
	refusals  refusals
	start     time.Time
	eventText string
	cancels   chan cancellation
	// stop ends the run before its time.
	stop context.CancelCauseFunc
	// fileErr is the first failure to write the file.
	fileErr atomic.Pointer[error]
}

// cancellation is a confirmed registration that is to be cancelled.
type cancellation struct {
	id uuid.UUID
	n  int
}

// Run sells the planned event and returns when every accepted registration is
// decided and settled. It calls progress once an interval, from one goroutine;
// progress may be nil. When ctx ends, or the run stalls (ErrStalled), the result
// is what there is so far, beside the error.
func Run(ctx context.Context, cfg Config, progress func(Snapshot)) (Result, error) {
	plan, err := NewPlan(cfg)
	if err != nil {
		return Result{}, err
	}
	r := &run{cfg: cfg.withDefaults(), plan: plan}
	r.door = newDoor(&r.cfg)
	defer r.door.close()
	watch, err := openObserver(ctx, r.cfg.Brokers)
	if err != nil {
		return Result{}, err
	}
	defer watch.close()
	event, err := r.door.createEvent(ctx, plan, time.Now())
	if err != nil {
		return Result{}, err
	}
	r.eventText = event.String()
	if r.file, err = openAccepted(r.cfg.AcceptedFile); err != nil {
		return Result{}, err
	}
	r.begin(time.Now())
	result, err := r.sell(ctx, func(ctx context.Context) { watch.run(ctx, event, r.tracker, r.cfg.Logger) }, progress)
	return result, errors.Join(err, r.file.close(), r.fileError())
}

// begin sets the clock of the run.
func (r *run) begin(start time.Time) {
	r.start = start
	r.pace = newPace(r.plan.Requests, r.cfg.Rate, r.cfg.UndecidedMax, start)
	r.pace.fence = r.cfg.Fence
	r.tracker = newTracker(r.plan, start, r.cfg.Warmup)
	r.tracker.decided = r.pace.free
	// Room for every cancellation, so that asking for one never blocks.
	n := 0
	for i := range r.plan.Requests {
		if r.plan.Cancels(i) {
			n++
		}
	}
	r.cancels = make(chan cancellation, n+1)
	r.tracker.cancel = func(id uuid.UUID, n int) { r.cancels <- cancellation{id, n} }
}

// sell sends everything and waits for the end.
func (r *run) sell(ctx context.Context, observe func(context.Context), progress func(Snapshot)) (Result, error) {
	ctx, r.stop = context.WithCancelCause(ctx)
	defer r.stop(nil)
	background, stopBackground := context.WithCancel(ctx)
	var others sync.WaitGroup
	others.Go(func() { observe(background) })
	others.Go(func() { r.watchdog(background) })
	others.Go(func() { r.report(background, progress) })
	for range cancellers {
		others.Go(func() { r.cancelConfirmed(background) })
	}

	send := r.sendSingly
	if r.cfg.Door == Batch {
		send = r.sendInBatches
	}
	var senders sync.WaitGroup
	for range r.cfg.Connections {
		senders.Go(func() { send(ctx) })
	}
	senders.Wait()
	sendEnd := time.Now()
	err := r.awaitEnd(ctx)
	stopBackground()
	others.Wait()
	if progress != nil {
		progress(r.snapshot(Snapshot{}, time.Now())) // its rates are the whole run's
	}
	return r.result(sendEnd), err
}

// awaitEnd waits until nothing is open, or the run is stopped.
func (r *run) awaitEnd(ctx context.Context) error {
	ticker := time.NewTicker(endPoll)
	defer ticker.Stop()
	for r.tracker.open.Load() > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	return context.Cause(ctx)
}

// watchdog stops a run in which registrations are open and nothing moves.
func (r *run) watchdog(ctx context.Context) {
	ticker := time.NewTicker(max(r.cfg.StallTimeout/20, endPoll))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			open, still := r.tracker.open.Load(), now.Sub(time.Unix(0, r.tracker.moved.Load()))
			if open > 0 && still > r.cfg.StallTimeout {
				r.stop(fmt.Errorf("%w: %d of them, and nothing has moved for %v; look at the open sagas (boxoffice sagas) and at the consumer lag",
					ErrStalled, open, still.Round(time.Second)))
			}
		}
	}
}

// cancelConfirmed sends the cancellations that fall due.
func (r *run) cancelConfirmed(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-r.cancels:
			if err := r.door.cancel(ctx, r.plan, c.id, c.n); err != nil && ctx.Err() == nil {
				r.cfg.Logger.Warn("a cancellation was not accepted", "registration", c.id, "error", err)
				r.refusals.add(err)
				r.tracker.cancelRefused(c.id, time.Now())
			}
		}
	}
}

// report calls progress and flushes the file, once an interval.
func (r *run) report(ctx context.Context, progress func(Snapshot)) {
	ticker := time.NewTicker(r.cfg.ProgressInterval)
	defer ticker.Stop()
	var last Snapshot
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			r.keep(r.file.flush())
			last = r.snapshot(last, now)
			if progress != nil {
				progress(last)
			}
		}
	}
}

// accepted notes an accepted registration. The file comes first: what is not in
// it was never claimed.
func (r *run) accepted(request *Request, id uuid.UUID, intended, now time.Time) {
	r.keep(r.file.add(r.plan, request, id, intended, now))
	r.tracker.accept(request.Index, id, intended, now)
}

// refused notes a request that will not become a registration. A door that gives
// no answer at all ends the run: what became of the request is not known.
func (r *run) refused(ctx context.Context, err error) {
	r.pace.free()
	if ctx.Err() != nil {
		return
	}
	if r.refusals.add(err) {
		r.cfg.Logger.Warn("a registration was not accepted; others for the same reason are counted only", "error", err)
	}
	if errors.Is(err, errNoAnswer) {
		r.stop(err)
	}
}

// keep keeps the first failure of the file; the run goes on, the result says so.
func (r *run) keep(err error) {
	if err != nil {
		r.fileErr.CompareAndSwap(nil, &err)
	}
}

func (r *run) fileError() error {
	if err := r.fileErr.Load(); err != nil {
		return fmt.Errorf("file of what was accepted: %w", *err)
	}
	return nil
}

// refusals counts refusals by code.
type refusals struct {
	mu    sync.Mutex
	codes map[string]int64
}

// add counts err, and reports whether it is the first of its code.
func (r *refusals) add(err error) (first bool) {
	code := "no_answer"
	var refusal *Refusal
	if errors.As(err, &refusal) {
		code = refusal.Code
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.codes == nil {
		r.codes = map[string]int64{}
	}
	r.codes[code]++
	return r.codes[code] == 1
}

func (r *refusals) total() (n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.codes {
		n += c
	}
	return n
}

func (r *refusals) byCode() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	codes := make(map[string]int64, len(r.codes))
	for code, n := range r.codes {
		codes[code] = n
	}
	return codes
}
