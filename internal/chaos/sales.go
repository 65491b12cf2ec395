package chaos

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/eventpro/boxoffice/internal/load"
	"github.com/eventpro/boxoffice/internal/pause"
)

// saleSpan is how long one sale lasts; then its event is sold out and the next
// one begins. So a run makes events, sells out, declines and cancels at any time.
const saleSpan = time.Minute

// sales is the load: one sale after another until the fence.
type sales struct {
	config load.Config
	dir    string
	name   string
	fence  chan struct{}
	begun  time.Time

	mu        sync.Mutex
	snapshots []load.Snapshot // guarded by mu; one a sale
	results   []load.Result   // guarded by mu
	errs      []error         // guarded by mu
	under     sync.WaitGroup  // sales under way
	looping   chan struct{}   // closed when no sale is begun any more
}

// newSales prepares sales against a system; name makes them different from those
// of other runs.
func newSales(c *Config, s *System, name string) *sales {
	return &sales{
		config: load.Config{
			IngestURL: s.IngestURL, APIKey: s.APIKey, Brokers: s.Brokers, Seed: c.Seed, Rate: c.Rate, Logger: c.Logger,
			// An outage may be long, and no request may be given up: what became of
			// it would not be known.
			RetryFor: time.Hour, RequestTimeout: 5 * time.Second, StallTimeout: time.Hour,
			Warmup: -1, ProgressInterval: 250 * time.Millisecond,
		},
		dir: c.Dir, name: name, fence: make(chan struct{}), looping: make(chan struct{}),
	}
}

// preload sells n registrations through the batch door, as fast as it goes.
func (s *sales) preload(ctx context.Context, n int) error {
	cfg := s.config
	cfg.Rate, cfg.Door, cfg.Places = 0, load.Batch, load.PlacesFor(n)
	cfg.Run, cfg.AcceptedFile = s.name+"-preload", s.file("preload")
	_, err := load.Run(ctx, cfg, nil)
	return err
}

// file is where the registrations of a sale that were accepted are kept.
func (s *sales) file(sale string) string {
	return filepath.Join(s.dir, "accepted-"+s.name+"-"+sale+".ndjson")
}

// files are those of all sales.
func (s *sales) files() ([]string, error) {
	return filepath.Glob(s.file("*"))
}

// start begins the first sale.
func (s *sales) start(ctx context.Context) {
	s.begun = time.Now()
	go func() {
		defer close(s.looping)
		for n := 1; ctx.Err() == nil; n++ {
			sent := s.sell(ctx, n)
			select {
			case <-sent:
			case <-s.fence:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
}

// sell begins a sale; the channel is closed when all of it is sent.
func (s *sales) sell(ctx context.Context, n int) (sent <-chan struct{}) {
	done := make(chan struct{})
	once := sync.OnceFunc(func() { close(done) })
	cfg := s.config
	cfg.Fence = s.fence
	cfg.Places = load.PlacesFor(int(cfg.Rate * saleSpan.Seconds()))
	cfg.Seed += uint64(n) * 7919 // sales differ
	cfg.Run, cfg.AcceptedFile = fmt.Sprintf("%s-%d", s.name, n), s.file(fmt.Sprint(n))
	s.mu.Lock()
	s.snapshots = append(s.snapshots, load.Snapshot{})
	s.mu.Unlock()
	s.under.Go(func() {
		defer once()
		result, err := s.insist(ctx, cfg, func(now load.Snapshot) {
			s.mu.Lock()
			s.snapshots[n-1] = now
			s.mu.Unlock()
			if now.Sent >= int64(now.Planned) {
				once()
			}
		})
		s.mu.Lock()
		defer s.mu.Unlock()
		s.results = append(s.results, result)
		if err != nil {
			s.errs = append(s.errs, fmt.Errorf("sale %d: %w", n, err))
		}
	})
	return done
}

// insist runs a sale, again when it could not even begin because what it needs
// for that was away: only then there is no plan in its result.
func (s *sales) insist(ctx context.Context, cfg load.Config, progress func(load.Snapshot)) (load.Result, error) {
	for {
		result, err := load.Run(ctx, cfg, progress)
		if err == nil || result.Planned > 0 || s.fenced() {
			return result, err
		}
		s.config.Logger.Warn("a sale could not begin and is begun again", "sale", cfg.Run, "error", err)
		if !pause.For(ctx, time.Second) {
			return result, err
		}
	}
}

func (s *sales) fenced() bool {
	select {
	case <-s.fence:
		return true
	default:
		return false
	}
}

// counts are those of all sales so far.
func (s *sales) counts() (c load.Counts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.snapshots {
		add(&c, one.Counts)
	}
	return c
}

// add adds up counts.
func add(to *load.Counts, c load.Counts) {
	to.Sent += c.Sent
	to.Accepted += c.Accepted
	to.Refused += c.Refused
	to.Decided += c.Decided
	to.Confirmed += c.Confirmed
	to.SoldOut += c.SoldOut
	to.PaymentFailed += c.PaymentFailed
	to.Expired += c.Expired
	to.Rejected += c.Rejected
	to.Cancelled += c.Cancelled
	to.Tickets += c.Tickets
	to.Open += c.Open
}

// errStillOpen: registrations that were accepted do not settle.
var errStillOpen = errors.New("registrations were accepted and do not settle")

// finish sends nothing any more and waits until all that was accepted is
// settled, as long as something settles within patience.
func (s *sales) finish(ctx context.Context, patience time.Duration) (sold, error) {
	ended := time.Now()
	close(s.fence)
	<-s.looping
	settled := make(chan struct{})
	go func() { s.under.Wait(); close(settled) }()
	open, moved := s.counts().Open, time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-settled:
			return s.sum(ended), errors.Join(s.errs...)
		case <-ctx.Done():
			<-settled // the sales end with it too
			return s.sum(ended), ctx.Err()
		case <-tick.C:
		}
		if now := s.counts().Open; now != open {
			open, moved = now, time.Now()
		}
		if time.Since(moved) > patience {
			return s.sum(ended), fmt.Errorf("%w: %d, for %v", errStillOpen, open, patience)
		}
	}
}

// sold is what all sales came to.
type sold struct {
	counts     load.Counts
	unanswered int64
	stray      int
	refusals   map[string]int64
	span       time.Duration // from the first sale to the fence
	events     int
	latency    *hdrhistogram.Histogram // request to confirmed, microseconds
}

func (s *sales) sum(ended time.Time) sold {
	all := sold{counts: s.counts(), refusals: map[string]int64{}, span: ended.Sub(s.begun)}
	s.mu.Lock()
	defer s.mu.Unlock()
	all.events = len(s.snapshots)
	for _, r := range s.results {
		all.unanswered += r.Unanswered
		all.stray += r.Stray
		for code, n := range r.Refusals {
			all.refusals[code] += n
		}
		switch {
		case r.Histogram == nil:
		case all.latency == nil:
			all.latency = hdrhistogram.Import(r.Histogram.Export())
		default:
			all.latency.Merge(r.Histogram)
		}
	}
	return all
}
