package rebuild

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/pause"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/stream/storage"
	"github.com/eventpro/boxoffice/internal/topicreader"
	"github.com/eventpro/boxoffice/internal/topology"
)

// TableOptions say which table is rebuilt, from where and where to.
type TableOptions struct {
	Brokers []string
	// KafkaOptions come on top, for TLS and SASL.
	KafkaOptions []kgo.Opt
	// Group is the one whose table is rebuilt.
	Group string
	// Handlers of the groups whose commands are run again.
	Handlers map[string]stream.Handler
	// Dir gets the fresh storage, which is deleted again; empty for a
	// temporary folder.
	Dir string
	// Swap writes the recomputed values in place of those that differ.
	Swap bool
	// By is who swaps; the audit trail wants a name.
	By     Person
	Logger *slog.Logger
	// Progress is told how far the reading of a topic is; nil for nobody.
	Progress func(topic string, done, total int64)
}

// TableReport is what came of it.
type TableReport struct {
	Group string `json:"group"`
	// Keys of the table and of what was recomputed; Records were read.
	LiveKeys    int64 `json:"live_keys"`
	RebuiltKeys int64 `json:"rebuilt_keys"`
	Records     int64 `json:"records"`
	// Differences are the keys that differ; their details are of the first.
	Differ      int          `json:"differ"`
	Differences []Difference `json:"differences,omitempty"`
	// Swapped counts the values that were written.
	Swapped   int     `json:"swapped"`
	DurationS float64 `json:"duration_s"`
}

// Difference is one key whose live value is not what the log makes of it.
type Difference struct {
	Key  string `json:"key"`
	What string `json:"what"`
	// Fields are the paths that differ.
	Fields []string `json:"fields,omitempty"`
}

// differencesMax bounds the details of a report.
const differencesMax = 20

// ErrExpired says that retention has taken records which a rebuild needs.
var ErrExpired = errors.New("retention has taken the first commands, so that the table cannot be recomputed from them")

// Table recomputes a group's table and compares it with the live one.
func Table(ctx context.Context, o TableOptions) (report TableReport, err error) {
	began := time.Now()
	recipe, err := recipeOf(o.Group, o.Handlers)
	if err != nil {
		return report, err
	}
	t, err := openTable(ctx, o, recipe)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := t.compare(ctx); err != nil {
		return report, err
	}
	report = TableReport{Group: o.Group, Differ: len(t.suspects)}
	if report.Differences, err = t.differences(); err != nil {
		return report, err
	}
	if o.Swap && report.Differ > 0 {
		if report.Swapped, err = t.swap(ctx); err != nil {
			return report, err
		}
	}
	report.LiveKeys, report.RebuiltKeys, report.Records = t.keys[0].Load(), t.keys[1].Load(), t.records.Load()
	report.DurationS = time.Since(began).Seconds()
	return report, nil
}

// table is a rebuild under way.
type table struct {
	o          TableOptions
	recipe     *recipe
	dir        string
	store      *storage.Store
	client     *kgo.Client
	admin      *kadm.Client
	partitions int
	// live is the table as its topic has it, rebuilt what the log makes of it.
	live, rebuilt []*storage.Partition
	read          map[string]map[int32]int64 // offsets, by topic
	keys          [2]atomic.Int64            // of live and rebuilt
	records       atomic.Int64

	mu       sync.Mutex
	suspects map[string]bool // keys that may differ
	watching bool            // suspects are known, and cleared while reading
}

func openTable(ctx context.Context, o TableOptions, r *recipe) (*table, error) {
	t := &table{o: o, recipe: r, read: map[string]map[int32]int64{}, suspects: map[string]bool{}}
	var err error
	if t.dir, err = os.MkdirTemp(o.Dir, "rebuild-"+o.Group+"-"); err != nil {
		return nil, fmt.Errorf("fresh storage: %w", err)
	}
	if err := t.open(ctx); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

func (t *table) open(ctx context.Context) (err error) {
	t.client, err = kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(t.o.Brokers...)}, t.o.KafkaOptions...)...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	t.admin = kadm.NewClient(t.client)
	starts, err := topicreader.Starts(ctx, t.admin, t.recipe.source, t.recipe.group.Table)
	if err != nil {
		return err
	}
	for partition, at := range starts[t.recipe.source.Name] {
		if at > 0 && t.recipe.commands {
			return fmt.Errorf("%s/%d begins at offset %d: %w", t.recipe.source.Name, partition, at, ErrExpired)
		}
	}
	t.partitions = len(starts[t.recipe.group.Table.Name])
	if t.store, err = storage.Open(t.dir, storage.Options{CacheBytes: 32 << 20, MemTableBytes: 32 << 20, Logger: t.o.Logger}); err != nil {
		return err
	}
	for p := range int32(t.partitions) {
		for name, list := range map[string]*[]*storage.Partition{"live": &t.live, "rebuilt": &t.rebuilt} {
			opened, err := t.store.Partition(name, p, storage.Direct)
			if err != nil {
				return err
			}
			*list = append(*list, opened)
		}
	}
	return nil
}

func (t *table) close() error {
	var errs []error
	for _, p := range append(t.live, t.rebuilt...) {
		errs = append(errs, p.Close())
	}
	if t.store != nil {
		errs = append(errs, t.store.Close())
	}
	if t.client != nil {
		t.client.Close()
	}
	return errors.Join(append(errs, os.RemoveAll(t.dir))...)
}

// A key that seems to differ may have changed between the reading of the table
// and that of the log, so it is looked at again, this often and after such a
// pause, before it is said to differ.
const (
	looksMax  = 12
	lookPause = 150 * time.Millisecond
)

// compare reads everything, then again what has come since, until nothing is
// suspect or what is left has differed every time.
func (t *table) compare(ctx context.Context) error {
	if err := t.advance(ctx); err != nil {
		return err
	}
	if err := t.suspect(); err != nil {
		return err
	}
	t.watching = true
	for range looksMax {
		if len(t.suspects) == 0 {
			return nil
		}
		if !pause.For(ctx, lookPause) {
			return ctx.Err()
		}
		if err := t.look(ctx); err != nil {
			return err
		}
	}
	return nil
}

// look reads what has come since the last time and clears suspects that agree:
// the table's value, which is read first, must be what the log made of the key
// before, or makes of it then. An old value is never taken for a good one.
func (t *table) look(ctx context.Context) error {
	if err := t.advanceTopic(ctx, t.recipe.group.Table); err != nil {
		return err
	}
	for key := range maps.Clone(t.suspects) {
		if err := t.clear(key); err != nil {
			return err
		}
	}
	return t.advanceTopic(ctx, t.recipe.source)
}

// advance reads table and log up to where they end now, the table first: the log
// has whatever the table shows.
func (t *table) advance(ctx context.Context) error {
	if err := t.advanceTopic(ctx, t.recipe.group.Table); err != nil {
		return err
	}
	return t.advanceTopic(ctx, t.recipe.source)
}

func (t *table) advanceTopic(ctx context.Context, topic topology.Topic) error {
	ends, err := topicreader.Ends(ctx, t.admin, topic)
	if err != nil {
		return err
	}
	if topic.Name == t.recipe.source.Name && t.recipe.commands {
		// What the group has not handled yet is not in its table.
		if ends, err = topicreader.Committed(ctx, t.admin, t.recipe.group.Name); err != nil {
			return err
		}
	}
	take := t.takeLog
	if topic.Name == t.recipe.group.Table.Name {
		take = t.takeLive
	}
	rd := topicreader.Reader{Brokers: t.o.Brokers, Options: t.o.KafkaOptions, Progress: t.o.Progress}
	if err := rd.Read(ctx, topic, t.read[topic.Name], ends[topic.Name], take); err != nil {
		return err
	}
	t.records.Add(rd.Records())
	if t.read[topic.Name] == nil {
		t.read[topic.Name] = map[int32]int64{}
	}
	for p, end := range ends[topic.Name] {
		t.read[topic.Name][p] = max(end, t.read[topic.Name][p])
	}
	for _, p := range append(slices.Clone(t.live), t.rebuilt...) {
		if err := p.MarkRecovered(); err != nil { // writes its buffer out
			return err
		}
	}
	return nil
}

func (t *table) partition(key string) int32 { return stream.Partition(key, t.partitions) }

func (t *table) takeLive(r *kgo.Record) error {
	return t.set(0, t.live[t.partition(string(r.Key))], string(r.Key), r.Value, r.Offset)
}

// takeLog applies one record of the log.
func (t *table) takeLog(r *kgo.Record) error {
	value := t.recipe.source.New()
	if err := proto.Unmarshal(r.Value, value); err != nil {
		return nil // a dead letter: it has changed nothing
	}
	key := t.recipe.key(r, value)
	if key == "" {
		return nil
	}
	p := t.rebuilt[t.partition(key)]
	state, err := t.get(p, key)
	if err != nil {
		return err
	}
	next, err := t.recipe.next(state, key, r, value)
	if err != nil || next == nil {
		return err
	}
	raw, err := proto.Marshal(next)
	if err != nil {
		return err
	}
	if err := t.set(1, p, key, raw, r.Offset); err != nil {
		return err
	}
	t.mu.Lock()
	suspect := t.watching && t.suspects[key]
	t.mu.Unlock()
	if suspect {
		return t.clear(key)
	}
	return nil
}

func (t *table) set(which int, p *storage.Partition, key string, value []byte, offset int64) error {
	known, err := p.Has(key)
	if err != nil {
		return err
	}
	if !known {
		t.keys[which].Add(1)
	}
	if err := p.Set(key, value); err != nil {
		return err
	}
	return p.SetOffset(offset) // bounds the buffer
}

// get decodes a value; nil when there is none.
func (t *table) get(p *storage.Partition, key string) (proto.Message, error) {
	raw, err := p.Get(key)
	if err != nil || raw == nil {
		return nil, err
	}
	m := t.recipe.group.Table.New()
	if err := proto.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("%s, key %s: %w", t.recipe.group.Table.Name, key, err)
	}
	return m, nil
}

// pair returns both values of a key, without what is no part of the version.
func (t *table) pair(key string) (live, rebuilt proto.Message, err error) {
	p := t.partition(key)
	if live, err = t.get(t.live[p], key); err != nil {
		live = nil // what cannot be decoded differs from everything
	}
	if rebuilt, err = t.get(t.rebuilt[p], key); err != nil {
		return nil, nil, err
	}
	if live != nil && !t.recipe.history(live) {
		live = nil
	}
	if rebuilt != nil && !t.recipe.history(rebuilt) {
		rebuilt = nil
	}
	return live, rebuilt, nil
}

func (t *table) same(key string) (bool, error) {
	live, rebuilt, err := t.pair(key)
	if err != nil || live == nil || rebuilt == nil {
		return live == nil && rebuilt == nil, err
	}
	return proto.Equal(live, rebuilt), nil
}

func (t *table) clear(key string) error {
	same, err := t.same(key)
	if err == nil && same {
		t.mu.Lock()
		delete(t.suspects, key)
		t.mu.Unlock()
	}
	return err
}

// suspect lists every key whose values are not equal.
func (t *table) suspect() error {
	for p := range int32(t.partitions) {
		for _, name := range []string{"live", "rebuilt"} {
			var failed error
			_, err := t.store.Range(name, p, func(key, _ []byte) bool {
				same, err := t.same(string(key))
				if failed = err; !same {
					t.suspects[string(key)] = true
				}
				return err == nil
			})
			if err := errors.Join(err, failed); err != nil {
				return err
			}
		}
	}
	return nil
}

// differences describes the first suspects.
func (t *table) differences() ([]Difference, error) {
	keys := slices.Sorted(maps.Keys(t.suspects))
	var all []Difference
	for _, key := range keys[:min(len(keys), differencesMax)] {
		live, rebuilt, err := t.pair(key)
		if err != nil {
			return nil, err
		}
		d := Difference{Key: key, What: "differs"}
		switch {
		case live == nil:
			d.What = "is not in the table, or cannot be read there"
		case rebuilt == nil:
			d.What = "is in the table and not in the log"
		default:
			d.Fields = paths("", live.ProtoReflect(), rebuilt.ProtoReflect())
		}
		all = append(all, d)
	}
	return all, nil
}
