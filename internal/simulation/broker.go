package simulation

import (
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
)

// What the broker refuses.
var (
	errFenced     = errors.New("the producer is fenced")
	errGeneration = errors.New("illegal generation")
)

// transactionTimeout is after which the broker aborts an open transaction and
// fences its producer.
const transactionTimeout = 10_000

// txState is where a transaction stands.
type txState uint8

const (
	open txState = iota
	committed
	aborted
)

// transaction is one of a producer. Once its end is decided, its markers are
// written one partition after the other.
type transaction struct {
	owner   *producer
	state   txState
	began   int64
	touched []*partitionLog // without a marker yet
	offsets []offset
	group   *group // whose offsets these are
	// handled is what the owner did in it: the truth that the books check.
	handled []*handled
	events  []event
}

// offset is one to be committed.
type offset struct {
	log  *partitionLog
	next int64
}

// event is a snapshot on its way to a topic of events.
type event struct {
	topic, key string
	value      proto.Message
}

// producer is a transactional id.
type producer struct {
	id    string
	epoch int
	tx    *transaction
	// ending is decided and still misses markers; the next one has to wait.
	ending *transaction
}

// broker holds the topics and coordinates transactions.
type broker struct {
	w         *world
	topics    map[string]*topicLog
	producers map[string]*producer
	endings   []*transaction
}

func newBroker(w *world) *broker {
	b := &broker{w: w, topics: make(map[string]*topicLog, 24), producers: map[string]*producer{}}
	for _, t := range topology.Topics() {
		b.topics[t.Name] = newTopicLog(t)
	}
	return b
}

// partitionOf is where a key's records of a topic go.
func (b *broker) partitionOf(topic, key string) *partitionLog {
	return b.topics[topic].partitions[stream.Partition(key, partitions)]
}

// producer returns that of a transactional id.
func (b *broker) producer(id string) *producer {
	p := b.producers[id]
	if p == nil {
		p = &producer{id: id}
		b.producers[id] = p
	}
	return p
}

// fence gives a transactional id a new epoch and aborts what the last one left
// open; ok is false while the markers of an earlier transaction are missing.
func (b *broker) fence(p *producer) (epoch int, ok bool) {
	p.epoch++
	if p.tx != nil {
		b.decide(p.tx, aborted)
	}
	return p.epoch, p.ending == nil
}

// produce adds a record to the producer's transaction, which it opens.
func (b *broker) produce(p *producer, epoch int, l *partitionLog, r *record) error {
	if epoch != p.epoch && !b.w.broken.zombies {
		return errFenced
	}
	if p.tx == nil {
		p.tx = &transaction{owner: p, began: b.w.now}
	}
	r.tx = p.tx
	l.append(r)
	return nil
}

// plain adds a record outside of transactions.
func (b *broker) plain(topic, key string, value []byte, at int64) *record {
	r := &record{key: key, value: value, at: at}
	b.partitionOf(topic, key).append(r)
	return r
}

// sendOffsets adds offsets to the transaction, if the member and its generation
// are the group's.
func (b *broker) sendOffsets(p *producer, epoch int, g *group, m *member, generation int, offsets []offset) error {
	if epoch != p.epoch && !b.w.broken.zombies {
		return errFenced
	}
	if !g.valid(m, generation) && !b.w.broken.offsetsOfAnyGeneration {
		return errGeneration
	}
	if p.tx == nil {
		p.tx = &transaction{owner: p, began: b.w.now}
	}
	p.tx.group, p.tx.offsets = g, offsets
	g.unsettled = append(g.unsettled, p.tx)
	return nil
}

// end decides the transaction of a producer.
func (b *broker) end(p *producer, epoch int, state txState) error {
	if epoch != p.epoch && !b.w.broken.zombies {
		return errFenced
	}
	if p.tx != nil {
		b.decide(p.tx, state)
	}
	return nil
}

// decide is the one moment at which a transaction becomes committed or aborted.
func (b *broker) decide(tx *transaction, state txState) {
	tx.state = state
	tx.owner.tx, tx.owner.ending = nil, tx
	b.endings = append(b.endings, tx)
	if state == committed {
		b.w.books.committed(tx)
	}
	if len(tx.touched) == 0 || b.w.choices.pick(4) == 0 { // the markers are there at once
		for !b.mark(tx, 0) {
		}
	}
}

// mark writes one marker that is missing, or makes the offsets visible; it
// reports whether that was the last.
func (b *broker) mark(tx *transaction, which int) (done bool) {
	if which < len(tx.touched) {
		l := tx.touched[which]
		tx.touched = slices.Delete(tx.touched, which, which+1)
		l.mark(tx)
	} else if tx.group != nil {
		b.settleOffsets(tx)
	}
	if len(tx.touched) > 0 || tx.group != nil {
		return false
	}
	b.endings = slices.DeleteFunc(b.endings, func(t *transaction) bool { return t == tx })
	tx.owner.ending = nil
	return true
}

func (b *broker) settleOffsets(tx *transaction) {
	g := tx.group
	g.unsettled = slices.DeleteFunc(g.unsettled, func(t *transaction) bool { return t == tx })
	tx.group = nil
	if tx.state != committed {
		return
	}
	for _, o := range tx.offsets {
		g.offsets[o.log] = o.next
	}
}

// expire aborts what was open for too long, and fences its owner.
func (b *broker) expire() {
	for _, p := range b.w.slots {
		if tx := p.producer.tx; tx != nil && b.w.now-tx.began >= transactionTimeout {
			b.w.tell("broker", "aborts the transaction of %s, open for too long", p.producer.id)
			b.w.count(txTimeout)
			p.producer.epoch++
			b.decide(tx, aborted)
		}
	}
}
