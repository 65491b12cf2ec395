package simulation

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream/core"
)

// The bounds of the runtime's pauses between two timers of a key, and how often
// an owner looks.
const (
	timerBackoffMin = time.Second
	timerBackoffMax = time.Minute
	timerInterval   = 200 // milliseconds
)

func millis(ms int64) time.Time { return time.UnixMilli(ms) }

// due reports whether a look for due deadlines is worth it.
func (p *process) due() bool {
	if p.def.Deadline == nil || len(p.owned) == 0 {
		return false
	}
	first := p.tables.earliest(p.owned)
	if first == 0 || first > p.clock() {
		return false
	}
	return p.lookedV != p.tables.version || p.w.now-p.looked >= int64(timerBackoffMin/time.Millisecond)
}

// look sends the timers that are due, outside of transactions.
func (p *process) look() {
	p.looked, p.lookedV = p.w.now, p.tables.version
	now := millis(p.clock())
	reached := core.Reached(now, millis(p.oldest), !p.waiting())
	sent := 0
	due := p.tables.due
	if p.w.broken.firesOnce {
		due = p.dueOnce
	}
	_ = p.alarms.Look(now, reached, p.owned, due, func(key string) {
		value, err := proto.Marshal(p.def.Timer(key, now))
		if err != nil {
			panic(err)
		}
		if !p.w.fault(timerLost) {
			p.w.broker.plain(p.def.Group.Timers.Name, key, value, p.clock())
		}
		sent++
	})
	if sent > 0 {
		p.w.stats.timers += sent
		p.w.tell(p.name, "sends %d timers, its clock says %s", sent, clockTime(p.clock()))
	}
}

// dueOnce forgets a deadline with the first timer; only a broken runtime does.
func (p *process) dueOnce(part int32, until int64, visit func(string, int64) bool) error {
	return p.tables.due(part, until, func(key string, at int64) bool {
		delete(p.tables.parts[part].index, key)
		return visit(key, at)
	})
}
