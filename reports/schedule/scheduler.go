package schedule

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/reports"
	"github.com/eventpro/boxoffice/reports/render"
	"github.com/eventpro/boxoffice/reports/statement"
)

// Options are what a Scheduler works with.
type Options struct {
	Config *Config
	// State is the path of the state file; it need not exist. Without one there is
	// only Once.
	State string
	// DB is the analytics database.
	DB *sql.DB
	// CaughtUp returns nil once all that has happened is in the database: it tells
	// a night without sales from a loader that lags. Nil when nobody can be asked;
	// then only a newer record shows that a period is complete.
	CaughtUp func(context.Context) error
	// Logger is told what was delivered and what failed.
	Logger *slog.Logger
	// Registerer takes the metrics; nil keeps them private.
	Registerer prometheus.Registerer
	// Clock is the present; nil is time.Now.
	Clock func() time.Time
}

// The pauses before a run is tried again, and what making one report may take.
const (
	freshPause  = time.Minute
	retryMin    = time.Minute
	retryMax    = 30 * time.Minute
	makeTimeout = 10 * time.Minute
	// askTimeout is how long is waited for the answer that the database has all.
	askTimeout = 10 * time.Second
	rowsMax    = 500_000
	// idle is the longest sleep: the host's clock may be set meanwhile.
	idle = time.Minute
)

// Scheduler runs schedules, one run at a time.
type Scheduler struct {
	options Options
	state   *state
	jobs    []*job
	metrics *metrics
}

// job is a schedule at work. What is here is lost with the process, and does no
// harm then.
type job struct {
	Schedule
	// due is the run that the rest is about.
	due      time.Time
	began    time.Time // of the first try
	failures int
	retryAt  time.Time
	// missed are the runs before this one that were counted as missed.
	missed int
}

// Open reads the state file. Its owner calls Close.
func Open(o Options) (*Scheduler, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	s := &Scheduler{options: o}
	var err error
	if s.metrics, err = newMetrics(o.Registerer, o.Config.Schedules); err != nil {
		return nil, err
	}
	if o.State != "" {
		if s.state, err = openState(o.State); err != nil {
			return nil, err
		}
	}
	for _, schedule := range o.Config.Schedules {
		s.jobs = append(s.jobs, &job{Schedule: schedule})
	}
	return s, nil
}

// Close lets go of the state file.
func (s *Scheduler) Close() error {
	if s.state == nil {
		return nil
	}
	return s.state.close()
}

// Run makes what is due until ctx ends.
func (s *Scheduler) Run(ctx context.Context) error {
	for {
		wake, err := s.Step(ctx)
		if ctx.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
		pause := time.NewTimer(min(idle, wake.Sub(s.options.Clock())))
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-pause.C:
		}
	}
}

// Step makes what is due now and says when there is something to do again. The
// error is of the state file: without it no run may be made.
func (s *Scheduler) Step(ctx context.Context) (wake time.Time, err error) {
	for _, j := range s.jobs {
		at, err := s.look(ctx, j)
		if err != nil || ctx.Err() != nil {
			return wake, err
		}
		if wake.IsZero() || at.Before(wake) {
			wake = at
		}
	}
	return wake, nil
}

// look makes a schedule's run if one is due.
func (s *Scheduler) look(ctx context.Context, j *job) (wake time.Time, err error) {
	now := s.options.Clock()
	p := s.state.Schedules[j.Name]
	if p == nil {
		// New: what it would have sent in the past nobody has asked for.
		p = &progress{Done: now}
		s.state.Schedules[j.Name] = p
		if err := s.state.save(); err != nil {
			return wake, err
		}
	}
	due, missed := j.latest(p.Done, now)
	next := j.times.after(now)
	if due.IsZero() {
		return next, nil
	}
	if !due.Equal(j.due) {
		if !j.due.IsZero() {
			s.options.Logger.Error("a run was given up: the next one is due", "schedule", j.Name, "due", j.due, "failures", j.failures)
		}
		s.metrics.missed(j.Name, missed-j.missed)
		j.missed = missed
		j.due, j.began, j.failures, j.retryAt = due, now, 0, time.Time{}
	}
	if now.Before(j.retryAt) {
		return earlier(j.retryAt, next), nil
	}
	switch err := s.run(ctx, j, missed); {
	case errors.Is(err, errState):
		return wake, err
	case ctx.Err() != nil:
		return wake, nil
	case errors.Is(err, errNotLoaded):
		j.retryAt = earlier(now.Add(freshPause), j.began.Add(j.Wait))
	case err != nil:
		j.failures++
		j.retryAt = now.Add(min(retryMax, retryMin<<min(j.failures-1, 10)))
		s.metrics.failed(j.Name)
		s.options.Logger.Error("a run failed and is tried again", "schedule", j.Name, "due", due, "failures", j.failures, "again", j.retryAt, "error", err)
	default:
		j.due, j.retryAt, j.missed = time.Time{}, time.Time{}, 0
		s.metrics.done(j.Name, now)
		return next, nil
	}
	return earlier(j.retryAt, next), nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// latest is the last time after done that has come, and how many others before it
// have; zero when none has.
func (j *job) latest(done, now time.Time) (due time.Time, missed int) {
	for at := j.times.after(done); !at.IsZero() && !at.After(now); at = j.times.after(at) {
		if !due.IsZero() {
			missed++
		}
		due = at
	}
	return due, missed
}

var (
	errNotLoaded = errors.New("the database is not loaded up to the period's end")
	errState     = errors.New("a run cannot be marked as done")
)

// run makes the reports and brings them to the places that do not have them.
func (s *Scheduler) run(ctx context.Context, j *job, missed int) error {
	p := s.state.Schedules[j.Name]
	if p.Run == nil || !p.Run.Due.Equal(j.due) {
		p.Run = &partial{Due: j.due}
	}
	mayWait := s.options.Clock().Before(j.began.Add(j.Wait))
	made, err := s.make(ctx, &j.Schedule, j.due, mayWait)
	if err != nil {
		return err
	}
	made.missed = missed
	var errs []error
	for _, d := range j.Deliver {
		if slices.Contains(p.Run.Delivered, d.id()) {
			continue
		}
		if err := s.deliver(ctx, made, d); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", d.id(), err))
			continue
		}
		s.options.Logger.Info("reports delivered", "schedule", j.Name, "due", j.due, "to", d.id())
		p.Run.Delivered = append(p.Run.Delivered, d.id())
		if err := s.state.save(); err != nil {
			return fmt.Errorf("%w: %w", errState, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	p.Done, p.Run = j.due, nil
	if err := s.state.save(); err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	return nil
}

// Once makes a schedule's run now, whenever it is due, brings it to all of its
// places and marks nothing.
func (s *Scheduler) Once(ctx context.Context, name string) error {
	i := slices.IndexFunc(s.jobs, func(j *job) bool { return j.Name == name })
	if i < 0 {
		return fmt.Errorf("there is no schedule %q", name)
	}
	made, err := s.make(ctx, &s.jobs[i].Schedule, s.options.Clock(), false)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range s.jobs[i].Deliver {
		if err := s.deliver(ctx, made, d); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", d.id(), err))
		}
	}
	return errors.Join(errs...)
}

// Planned is a run to come.
type Planned struct {
	Schedule string
	Due      time.Time
	// Reports are the reports with their periods.
	Reports []string
	// Places are where they go.
	Places []string
}

// Plan lists the next n runs of every schedule after a moment, by time.
func (c *Config) Plan(after time.Time, n int) []Planned {
	var out []Planned
	for i := range c.Schedules {
		schedule := &c.Schedules[i]
		due := after
		for range n {
			if due = schedule.times.after(due); due.IsZero() {
				break
			}
			planned := Planned{Schedule: schedule.Name, Due: due}
			for _, r := range schedule.Reports {
				what := r.Report
				if p, err := r.params(schedule.Zone, due); err == nil { // it was checked when it was loaded
					what += " " + period(p.From, p.To, p.Zone)
				}
				planned.Reports = append(planned.Reports, what)
			}
			for _, d := range schedule.Deliver {
				planned.Places = append(planned.Places, d.id())
			}
			out = append(out, planned)
		}
	}
	slices.SortStableFunc(out, func(a, b Planned) int { return a.Due.Compare(b.Due) })
	return out
}

// parcel is what one run brings.
type parcel struct {
	schedule *Schedule
	due      time.Time
	items    []item
	// asOf is up to when the database was loaded before the reports were made.
	asOf time.Time
	// late says that the database is not loaded up to some period's end.
	late   bool
	missed int
}

// item is one report with the formats that it is wanted in.
type item struct {
	report  *statement.Report
	formats []render.Format
}

// make makes a run's reports. While it may wait it waits for the database.
func (s *Scheduler) make(ctx context.Context, schedule *Schedule, due time.Time, mayWait bool) (*parcel, error) {
	ctx, cancel := context.WithTimeout(ctx, makeTimeout)
	defer cancel()
	ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{"max_result_rows": rowsMax, "result_overflow_mode": "throw"}))
	made := &parcel{schedule: schedule, due: due}
	var err error
	if made.asOf, err = reports.AsOf(ctx, s.options.DB); err != nil {
		return nil, err
	}
	if made.late, err = s.late(ctx, schedule, due, made.asOf); err != nil {
		return nil, err
	}
	if made.late && mayWait {
		return nil, errNotLoaded
	}
	for _, wanted := range schedule.Reports {
		params, err := wanted.params(schedule.Zone, due)
		if err != nil {
			return nil, err
		}
		it := item{}
		if it.report, err = reports.Make(ctx, s.options.DB, wanted.Report, params); err != nil {
			return nil, err
		}
		for _, name := range wanted.Formats {
			f, ok := render.Find(name)
			if !ok {
				return nil, fmt.Errorf("there is no format %q", name)
			}
			it.formats = append(it.formats, f)
		}
		made.items = append(made.items, it)
	}
	return made, nil
}

// late tells whether the database may lack something of a report's period.
func (s *Scheduler) late(ctx context.Context, schedule *Schedule, due, asOf time.Time) (bool, error) {
	late := false
	for _, wanted := range schedule.Reports {
		params, err := wanted.params(schedule.Zone, due)
		if err != nil {
			return false, err
		}
		// Of a period that goes on, what there is when the run is due is wanted.
		end := due
		if !params.To.IsZero() {
			end = earlier(params.To, due)
		}
		late = late || asOf.Before(end)
	}
	if !late || s.options.CaughtUp == nil {
		return late, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := s.options.CaughtUp(ctx); err != nil {
		s.options.Logger.Info("the database is not known to have all", "schedule", schedule.Name, "error", err)
		return true, nil
	}
	return false, nil
}
