package simulation

import "github.com/eventpro/boxoffice/internal/availability"

// canRecover reports whether the tables' log has more to read, or is at its end.
func (p *process) canRecover() bool {
	for _, part := range p.owned {
		l := p.tableLog(part)
		if l.stable() < l.end && p.readable(l, p.cursors[part]) == nil && !p.w.broken.recoveryStopsAtStable {
			return false // an open transaction: what it wrote may still be committed
		}
	}
	if p.w.broken.endsAtRecordsOnly {
		for _, part := range p.owned {
			l := p.tableLog(part)
			if p.readable(l, p.cursors[part]) == nil && p.cursors[part] < l.end {
				return false // rule 6 broken: it waits for a record at the end
			}
		}
	}
	return true
}

func (p *process) tableLog(part int32) *partitionLog {
	return p.w.broker.topics[p.def.Group.Table.Name].partitions[part]
}

func (p *process) readable(l *partitionLog, from int64) *record {
	return l.next(from)
}

// recover reads the tables to the end of their log: committed records, over
// markers and gaps (rule 6). What it writes is committed already.
func (p *process) recover() {
	atOnce := 64
	if p.w.choices.pick(8) == 7 {
		atOnce = 2
	}
	for _, part := range p.owned {
		l := p.tableLog(part)
		values := map[string]value{}
		last := p.tables.parts[part].offset
		for n := 0; n < atOnce; n++ {
			r := p.readable(l, p.cursors[part])
			if r == nil {
				break
			}
			values[r.key] = value{r.value, r.offset}
			p.cursors[part], last = r.offset+1, r.offset
		}
		if len(values) > 0 {
			p.tables.write(part, values, last)
			p.w.stats.recovered += len(values)
			if atOnce == 2 {
				return
			}
		}
		if l.stable() < l.end && !p.w.broken.recoveryStopsAtStable {
			return
		}
	}
	p.w.tell(p.name, "has recovered its tables")
	p.phase = polling
	p.oldest = p.w.now
	p.w.books.recovered(p)
	p.learnRoom()
}

// learnRoom gives a registrations process its availability index.
func (p *process) learnRoom() {
	if p.index != nil || p.def.Group.Name != groupRegistrations {
		return
	}
	p.index = availability.New(availability.Options{Seed: p.w.seed})
}
