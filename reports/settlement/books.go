package settlement

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/reports"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// Source gives the provider's side: every charge and refund to add, the names of
// lines that are neither to other. All of its entries have one key.
type Source func(add func(Key, Entry) error, other func(string)) error

// File reads a CSV file; the package's comment tells the forms. Bad lines are a
// *FileError.
func File(in io.Reader) Source {
	return func(add func(Key, Entry) error, other func(string)) error { return readFile(in, add, other) }
}

// Ledger reads the ledger of the provider at a URL.
func Ledger(ctx context.Context, url string) Source {
	return func(add func(Key, Entry) error, _ func(string)) error {
		return provider.ReadLedger(ctx, url, func(e provider.Entry) error {
			kind := Charge
			if e.Kind == provider.KindRefund {
				kind = Refund
			}
			return add(ByReference, Entry{
				Kind: kind, Reference: canonical(e.Reference), ProviderID: e.ID, AmountMinor: e.AmountMinor, FeeMinor: e.FeeMinor,
				Currency: e.Currency, At: e.At, Line: int64(e.Seq), Booked: true,
			})
		})
	}
}

// Options say what is held against what.
type Options struct {
	Scope
	// WholeDays makes the period that of the source: from the day of its first
	// line to the day of its last. Bounds that are set stay.
	WholeDays bool
	// Provider is the name of the provider whose charges and refunds are compared;
	// empty for all that were not brought in from another system. Records from
	// before providers had names belong to none.
	Provider string
}

// margin is how far outside the period our side is read: so far may the two
// sides' times of one charge or refund be apart.
const margin = 35 * 24 * time.Hour

// sortBytes is the memory that ClickHouse may take for the order before it goes to
// its disk.
const sortBytes = 128 << 20

// Reconcile holds a source against the database.
func Reconcile(ctx context.Context, db *sql.DB, source Source, o Options) (result *Result, err error) {
	// Asked first: what is loaded while lines are read may be seen, all up to here
	// is.
	at, err := reports.AsOf(ctx, db)
	if err != nil {
		return nil, err
	}
	sorted := newSorter(ByReference)
	defer func() { err = errors.Join(err, sorted.close()) }()
	others := map[string]int64{}
	digest := sha256.New()
	var line []byte
	add := func(key Key, e Entry) error {
		if sorted.count%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		sorted.key = key
		line = appendEntry(line[:0], &e)
		_, _ = digest.Write(line) // never fails
		return sorted.add(e)
	}
	if err := source(add, func(name string) { others[name]++ }); err != nil {
		return nil, err
	}
	if o.WholeDays && sorted.count > 0 {
		o.wholeDays(sorted.first, sorted.last)
	}
	result, err = Compare(o.Scope, sorted.key, sorted.sorted(), books(ctx, db, sorted.key, o))
	if err != nil {
		return nil, err
	}
	result.Other, result.AsOf, result.provider, result.digest = others, at, o.Provider, hex.EncodeToString(digest.Sum(nil))
	return result, nil
}

// wholeDays sets the bounds that are open to the days of the first and last line.
func (o *Options) wholeDays(first, last time.Time) {
	day := func(t time.Time, days int) time.Time {
		t = t.In(o.zone())
		return time.Date(t.Year(), t.Month(), t.Day()+days, 0, 0, 0, 0, o.zone())
	}
	if o.From.IsZero() {
		o.From = day(first, 0)
	}
	if o.To.IsZero() {
		o.To = day(last, 1)
	}
}

// books streams our side in the order of the key.
func books(ctx context.Context, db *sql.DB, key Key, o Options) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		ctx := ch.Context(ctx, ch.WithSettings(ch.Settings{"max_bytes_before_external_sort": sortBytes}))
		rows, err := queries.Run(ctx, db, queries.Settlement, o.values(key))
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var e Entry
			var kind string
			if err := rows.Scan(&kind, &e.Reference, &e.ProviderID, &e.Currency, &e.AmountMinor, &e.FeeMinor, &e.At, &e.Booked); err != nil {
				yield(Entry{}, fmt.Errorf("reading our payments: %w", err))
				return
			}
			e.Kind = Kind(kind)
			if !yield(e, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Entry{}, fmt.Errorf("reading our payments: %w", err))
		}
	}
}

// values are the query's parameters: the period with its margin, as far as the
// database's times go.
func (o *Options) values(key Key) map[string]string {
	from, to := queries.Beginning, queries.End
	if !o.From.IsZero() && o.From.Add(-margin).After(from) {
		from = o.From.Add(-margin)
	}
	if !o.To.IsZero() && o.To.Add(margin).Before(to) {
		to = o.To.Add(margin)
	}
	return map[string]string{
		"key": string(key), "from": queries.Time(from), "to": queries.Time(to), "provider": cmp.Or(o.Provider, queries.All),
	}
}
