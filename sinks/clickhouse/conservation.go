package clickhouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/eventpro/boxoffice/internal/pause"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// Kinds of a conservation difference: those of the query, and commands, which only
// the log knows.
const (
	kindCommands  = "commands"
	kindDecisions = "decisions"
)

var conservationKinds = []string{kindCommands, "registrations", "payments", kindDecisions, "orders", "charges", "refunds"}

// minutesAtOnce bounds what is compared in one go: after a restart, or when a late
// loader has caught up.
const minutesAtOnce = 10

// errLate: the loader has not come far enough for a comparison.
var errLate = errors.New("the loader is behind")

// books compare what went in with what is there, a minute at a time, and tell how far
// they are apart and since when.
type books struct {
	sink *Sink
	db   *sql.DB
	// first is the first minute to compare, zero before it was looked for, next the first
	// one that was not compared yet, again the one to be looked at once more.
	first, next, again time.Time
	// apart are the minutes that differ, by kind. They are looked at until they agree: a
	// difference does not go away by growing old.
	apart map[time.Time]map[string]int64
	// since is when a kind was first seen to differ, without a break since then.
	since map[string]time.Time
}

func newBooks(s *Sink, db *sql.DB) *books {
	return &books{sink: s, db: db, apart: map[time.Time]map[string]int64{}, since: map[string]time.Time{}}
}

// watchBooks compares until ctx ends.
func (s *Sink) watchBooks(ctx context.Context, db *sql.DB) {
	b := newBooks(s, db)
	if !pause.For(ctx, s.cfg.ConservationInterval/2) { // not at the same moment as the rollups
		return
	}
	tick := time.NewTicker(s.cfg.ConservationInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := b.check(ctx, time.Now())
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errLate):
			s.log.Debug("the books are not compared", "reason", err)
		case err != nil:
			s.log.Warn("comparing the books", "error", err)
		}
	}
}

// check compares the minutes that are over and loaded. A loader that is late is no
// difference: then nothing is compared, and what was found stays as it is.
func (b *books) check(ctx context.Context, now time.Time) error {
	to := now.Add(-b.sink.cfg.ConservationDelay).Truncate(time.Minute)
	waiting, err := b.sink.waitingCommands(ctx, to)
	if err != nil {
		return err
	}
	if err := b.sink.loadedUpTo(ctx, to); err != nil {
		return err
	}
	if b.first.IsZero() {
		if err := b.begin(ctx, to); err != nil {
			return err
		}
	}
	for _, minute := range b.minutes(to) {
		found, err := b.compare(ctx, minute)
		if err != nil {
			return err
		}
		delete(b.apart, minute)
		if len(found) > 0 {
			b.apart[minute] = found
		}
		if minute.Equal(b.next) {
			b.next = minute.Add(time.Minute)
			b.sink.metrics.booksChecked.Set(float64(b.next.Unix()))
		}
	}
	sum := map[string]int64{kindCommands: waiting}
	for _, found := range b.apart {
		for kind, difference := range found {
			sum[kind] += difference
		}
	}
	b.tell(now, sum)
	return nil
}

// firstSign is the first moment of a period at which one of the tables that are
// compared has anything, NULL when none has.
const firstSign = `SELECT min(at) FROM
(
	SELECT minOrNull(time) AS at FROM events WHERE time >= {from:DateTime64(3)}
	UNION ALL SELECT minOrNull(changed_at) FROM registrations WHERE changed_at >= {from:DateTime64(3)}
	UNION ALL SELECT minOrNull(decided_at) FROM registrations WHERE decided_at >= {from:DateTime64(3)}
	UNION ALL SELECT minOrNull(changed_at) FROM payments WHERE changed_at >= {from:DateTime64(3)}
	UNION ALL SELECT minOrNull(captured_at) FROM payments WHERE captured_at >= {from:DateTime64(3)}
	UNION ALL SELECT minOrNull(occurred_at) FROM movements WHERE occurred_at >= {from:DateTime64(3)}
	UNION ALL SELECT minOrNull(request_time) + toIntervalSecond({decide_within:UInt32}) FROM registrations
	          WHERE request_time >= {from:DateTime64(3)} - toIntervalSecond({decide_within:UInt32})
)`

// begin finds the first minute to compare. After a start that is the window's first in
// which there is anything: a comparison costs as much for an empty minute as for a full
// one, and thirty of them in a row are felt by a sale that has just begun.
func (b *books) begin(ctx context.Context, to time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, b.sink.cfg.InsertTimeout)
	defer cancel()
	start := to.Add(-b.sink.cfg.ConservationWindow)
	var first sql.NullTime
	err := b.db.QueryRowContext(ctx, firstSign,
		ch.Named("from", queries.Time(start)), ch.Named("decide_within", fmt.Sprint(int64(b.sink.cfg.DecideWithin.Seconds()))),
	).Scan(&first)
	if err != nil {
		return fmt.Errorf("looking for the first minute to compare: %w", err)
	}
	if b.next = to; first.Valid && first.Time.Before(to) {
		b.next = first.Time.UTC().Truncate(time.Minute)
	}
	b.first = b.next
	b.sink.metrics.booksChecked.Set(float64(b.next.Unix()))
	return nil
}

// minutes are those to compare now: the ones that differed, oldest first, one of the
// window that was fine, since rows may be lost later, and the ones that are new.
func (b *books) minutes(to time.Time) []time.Time {
	start := to.Add(-b.sink.cfg.ConservationWindow)
	if start.Before(b.first) {
		start = b.first
	}
	list := slices.SortedFunc(maps.Keys(b.apart), time.Time.Compare)
	list = list[:min(len(list), minutesAtOnce)]
	if b.again.Before(start) {
		b.again = start
	}
	if b.again.Before(b.next) && !slices.Contains(list, b.again) {
		list = append(list, b.again)
	}
	if b.again = b.again.Add(time.Minute); !b.again.Before(b.next) {
		b.again = start
	}
	for minute, n := b.next, 0; minute.Before(to) && n < minutesAtOnce; n++ {
		list = append(list, minute)
		minute = minute.Add(time.Minute)
	}
	return list
}

// compare runs the query over one minute and adds up the differences of each kind.
func (b *books) compare(ctx context.Context, minute time.Time) (apart map[string]int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.sink.cfg.InsertTimeout)
	defer cancel()
	rows, err := queries.Run(ctx, b.db, queries.Conservation, map[string]string{
		"from": queries.Time(minute), "to": queries.Time(minute.Add(time.Minute)),
		"decide_within": fmt.Sprint(int64(b.sink.cfg.DecideWithin.Seconds())),
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	apart = map[string]int64{}
	for rows.Next() {
		var minute time.Time
		var kind, currency string
		var expected, found, difference int64
		if err := rows.Scan(&minute, &kind, &currency, &expected, &found, &difference); err != nil {
			return nil, err
		}
		if difference == 0 {
			continue
		}
		apart[kind] += difference
		b.sink.log.Debug("the books differ", "minute", minute, "kind", kind, "currency", currency, "expected", expected, "found", found)
	}
	return apart, rows.Err()
}

// tell sets the metrics, and logs when a kind begins or ceases to differ.
func (b *books) tell(now time.Time, apart map[string]int64) {
	for _, kind := range conservationKinds {
		difference := apart[kind]
		since, differs := b.since[kind]
		switch {
		case difference != 0 && !differs:
			since = now
			b.since[kind] = now
			b.sink.log.Warn("the books differ", "kind", kind, "difference", difference)
		case difference == 0 && differs:
			delete(b.since, kind)
			b.sink.log.Info("the books agree again", "kind", kind)
		}
		lasting := 0.0
		if difference != 0 {
			lasting = now.Sub(since).Seconds()
		}
		b.sink.metrics.booksApart.WithLabelValues(kind).Set(float64(difference))
		b.sink.metrics.booksLasting.WithLabelValues(kind).Set(lasting)
	}
}

// waitingCommands counts the commands that the front door had accepted by then and
// that their processor has not dealt with. By I7 every one that it has dealt with was
// applied, refused with a reason, put off or dead-lettered.
//
// Commands are counted in the log, not loaded: they are one record in ten of what the
// loader reads, and would only tell what the processor's offsets tell for nothing.
func (s *Sink) waitingCommands(ctx context.Context, until time.Time) (int64, error) {
	behind, err := s.unread(ctx, until, topology.Registrations.Name, topology.RegistrationCommands)
	if err != nil {
		return 0, fmt.Errorf("counting the commands that wait: %w", err)
	}
	return behind, nil
}

// loadedUpTo returns nil when all records of before that moment are in ClickHouse.
func (s *Sink) loadedUpTo(ctx context.Context, until time.Time) error {
	behind, err := s.unread(ctx, until, s.cfg.Group, topology.ClickHouseSink.Inputs...)
	if err != nil {
		return err
	}
	if behind > 0 {
		return fmt.Errorf("%w: %d records of before %s are not loaded", errLate, behind, until.Format(time.TimeOnly))
	}
	return nil
}

// unread counts the records of topics from before a moment that a group has not
// committed.
func (s *Sink) unread(ctx context.Context, until time.Time, group string, topics ...topology.Topic) (int64, error) {
	names := make([]string, 0, len(topics))
	for _, t := range topics {
		names = append(names, t.Name)
	}
	listed, err := s.admin.ListOffsetsAfterMilli(ctx, until.UnixMilli(), names...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("listing the offsets of %s: %w", until.Format(time.TimeOnly), err)
	}
	ends := map[partition]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[partition{o.Topic, o.Partition}] = o.Offset })
	behind, err := s.behind(ctx, group, ends)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, records := range behind {
		n += records
	}
	return n, nil
}
