package stream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	gokastorage "github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kadm"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream/core"
	"github.com/eventpro/boxoffice/internal/stream/storage"
	"github.com/eventpro/boxoffice/internal/topology"
)

// ErrRecovering is a view's answer while it may be behind: better none than a
// stale one that looks fresh.
var ErrRecovering = errors.New("the view is recovering")

// ViewOptions are optional.
type ViewOptions struct {
	// OnUpdate is called after each update is visible, for each partition in
	// log order, for different partitions concurrently. It must not block.
	// What the view finds in its local storage when it starts comes by Range.
	OnUpdate func(Update)
}

// Update is one change of a view's table.
type Update struct {
	Key       string
	Value     []byte // nil: deleted
	Partition int32
	Offset    int64
}

// Freshness is how far one partition of a view is.
type Freshness struct {
	Partition int32
	// Offset is the last one applied, -1 for none.
	Offset int64
	// Lag is how many records of the log are not applied yet, as of the last
	// fetch.
	Lag int64
}

// View serves a group's table from its compacted topic: a Goka view of all
// partitions on our reader and storage.
type View struct {
	cfg     Config
	role    string
	table   topology.Topic
	opts    ViewOptions
	metrics *groupMetrics
	watch   watchers

	store *storage.Store
	state atomic.Pointer[viewState]
}

// viewState is one run of a Goka view.
type viewState struct {
	view   *goka.View
	reader *reader
	tm     topicManager
	gate   *gate

	mu         sync.RWMutex
	partitions []*storage.Partition
}

// NewView checks the configuration; Run connects. The role keeps apart two
// views of one table under one data directory.
func NewView(cfg Config, role string, table topology.Topic, opts ViewOptions) (*View, error) {
	errs := []error{cfg.Validate()}
	if cfg.DataDir == "" {
		errs = append(errs, errors.New("no data directory given for the local tables"))
	}
	if role == "" || table.New == nil || table.Cleanup != topology.Compact {
		errs = append(errs, fmt.Errorf("a view needs a role and a compacted topic with a message type, got %q and %q", role, table.Name))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	configureGoka()
	cfg = cfg.withDefaults()
	return &View{cfg: cfg, role: role, table: table, opts: opts, metrics: newMetrics(cfg.Registerer).group(role + "/" + table.Name)}, nil
}

// Run reads until ctx ends (nil), through whatever may pass.
func (v *View) Run(ctx context.Context) error {
	store, err := storage.Open(filepath.Join(v.cfg.DataDir, "views", v.role, v.table.Name), storage.Options{
		CacheBytes: v.cfg.CacheBytes, MemTableBytes: v.cfg.MemTableBytes, Logger: v.cfg.Logger,
	})
	if err != nil {
		return fmt.Errorf("view %s: %w", v.table.Name, err)
	}
	defer store.Close()
	v.store = store
	pause := backoff{min: v.cfg.RestartBackoffMin, max: v.cfg.RestartBackoffMax}
	for {
		err := intact(ctx, store, v.once)
		if ctx.Err() != nil {
			return nil
		}
		v.metrics.restarts.Inc()
		v.cfg.Logger.Warn("view starts again", "table", v.table.Name, "cause", err)
		if !pause.wait(ctx) {
			return nil
		}
	}
}

// once runs one Goka view until it fails.
func (v *View) once(ctx context.Context) error {
	cl, err := newAdmin(&v.cfg)
	if err != nil {
		return err
	}
	defer cl.Close()
	st := &viewState{tm: topicManager{kadm.NewClient(cl)}}
	st.reader, err = newReader(&v.cfg)
	if err != nil {
		return err
	}
	defer st.reader.Close()
	numbers, err := st.tm.Partitions(v.table.Name)
	if err != nil {
		return err
	}
	st.partitions = make([]*storage.Partition, len(numbers))
	st.gate = newGate(len(numbers))
	st.view, err = goka.NewView(v.cfg.Brokers, goka.Table(v.table.Name), tableCodec{v.table.New},
		goka.WithViewLogger(gokaLog{v.cfg.Logger}),
		goka.WithViewHasher(NewHash),
		goka.WithViewCallback(v.update),
		goka.WithViewStorageBuilder(func(topic string, p int32) (gokastorage.Storage, error) {
			return v.open(st, topic, p)
		}),
		goka.WithViewTopicManagerBuilder(func([]string) (goka.TopicManager, error) { return st.tm, nil }),
		goka.WithViewConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) { return st.reader, nil }),
	)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	background.Go(func() { st.gate.list(ctx, st, v) })
	background.Go(func() { v.measure(ctx, st) })
	v.state.Store(st)
	defer v.state.Store(nil)
	return st.view.Run(ctx)
}

func (v *View) open(st *viewState, topic string, partition int32) (gokastorage.Storage, error) {
	p, err := openVerified(st.tm, v.store, topic, partition, storage.Direct, &v.cfg)
	if err != nil {
		return nil, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.partitions[partition] = p
	return gated{p, st.gate}, nil
}

// update is Goka's callback for each record of the table.
func (v *View) update(ctx goka.UpdateContext, s gokastorage.Storage, key string, value []byte) error {
	if err := update(ctx, s, key, value); err != nil || key == controlKey {
		return err
	}
	v.metrics.recovered.Inc()
	v.watch.notify(key)
	if v.opts.OnUpdate != nil {
		v.opts.OnUpdate(Update{Key: key, Value: value, Partition: ctx.Partition(), Offset: ctx.Offset()})
	}
	return nil
}

// Ready reports whether the view has caught up since it started, or started again
// after a failure.
func (v *View) Ready() bool {
	st := v.state.Load()
	return st != nil && st.gate.open(st)
}

// Get returns the value of a key, nil when it is unknown, and ErrRecovering
// while the view is not Ready.
func (v *View) Get(key string) (proto.Message, error) {
	st := v.state.Load()
	if st == nil || !st.gate.open(st) {
		return nil, ErrRecovering
	}
	return v.get(st, key)
}

func (v *View) get(st *viewState, key string) (proto.Message, error) {
	// Not through Goka's view: it drops its partitions without a lock when it
	// stops.
	value, open, err := v.store.Get(v.table.Name, Partition(key, len(st.partitions)), key)
	switch {
	case err != nil:
		return nil, err
	case !open:
		return nil, ErrRecovering
	case value == nil:
		return nil, nil
	}
	m, bad := core.Decode(v.table.New, value)
	if bad != nil {
		return nil, fmt.Errorf("value of key %q: %w", key, bad)
	}
	return m, nil
}

// Freshness returns that of the key's partition.
func (v *View) Freshness(key string) Freshness {
	all := v.Partitions()
	if len(all) == 0 {
		return Freshness{Offset: storage.NoOffset}
	}
	return all[Partition(key, len(all))]
}

// Partitions returns the freshness of every partition, nil while the view does
// not run.
func (v *View) Partitions() []Freshness {
	st := v.state.Load()
	if st == nil {
		return nil
	}
	st.mu.RLock()
	defer st.mu.RUnlock()
	out := make([]Freshness, len(st.partitions))
	for i, p := range st.partitions {
		out[i] = Freshness{Partition: int32(i), Offset: storage.NoOffset}
		if p != nil {
			out[i].Offset = p.Offset()
		}
		out[i].Lag = max(0, st.reader.end(v.table.Name, int32(i))-out[i].Offset-1)
	}
	return out
}

// Range calls fn for every key and value until fn returns false, partition by
// partition in key order. It walks a snapshot. A value that cannot be decoded is
// left out, so that one bad record does not hide all others; Get tells of it.
func (v *View) Range(fn func(key string, value proto.Message) bool) error {
	st := v.state.Load()
	if st == nil || !st.gate.open(st) {
		return ErrRecovering
	}
	more := true
	for p := 0; p < len(st.partitions) && more; p++ {
		open, err := v.store.Range(v.table.Name, int32(p), func(key, value []byte) bool {
			m, bad := core.Decode(v.table.New, value)
			if bad != nil {
				v.cfg.Logger.Warn("a table's record is left out", "table", v.table.Name, "key", string(key), "error", bad)
				return true
			}
			more = fn(string(key), m)
			return more
		})
		switch {
		case err != nil:
			return err
		case !open:
			return ErrRecovering
		}
	}
	return nil
}

// WaitFor returns the first value of key that satisfies ok, which gets nil for
// an unknown key. When ctx ends first, it returns the last value seen with
// ctx's error; a view that is recovering is waited for as well.
func (v *View) WaitFor(ctx context.Context, key string, ok func(proto.Message) bool) (proto.Message, error) {
	var last proto.Message
	for value, err := range v.Watch(ctx, key) {
		if err != nil {
			return last, err
		}
		if last = value; ok(value) {
			return value, nil
		}
	}
	return last, ctx.Err()
}

// Watch yields the key's value (nil when unknown) and then each newer one.
// Values that are overtaken before the loop is back are skipped. It ends with
// ctx; it waits while the view is recovering.
func (v *View) Watch(ctx context.Context, key string) iter.Seq2[proto.Message, error] {
	return func(yield func(proto.Message, error) bool) {
		changed, stop := v.watch.add(key) // before the first look: no update is missed
		defer stop()
		for {
			value, err := v.Get(key)
			if !errors.Is(err, ErrRecovering) && !yield(value, err) {
				return
			}
			select {
			case <-changed:
			case <-v.retry(ctx, err):
			case <-ctx.Done():
				return
			}
		}
	}
}
