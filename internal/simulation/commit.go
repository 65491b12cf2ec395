package simulation

import "errors"

// poll takes a batch: records of some of the input partitions, each in order.
func (p *process) poll() {
	p.w.stats.batches++
	inputs := p.def.Group.Inputs
	first, left := p.w.choices.pick(len(inputs)*partitions), 1+p.w.choices.pick(5)
	if left == 1 {
		left = 6
	}
	for i := range len(inputs) * len(p.owned) {
		at := (i + first) % (len(inputs) * len(p.owned))
		l := p.w.broker.topics[inputs[at/len(p.owned)].Name].partitions[p.owned[at%len(p.owned)]]
		var queue []*record
		for ; left > 0; left-- {
			r := p.nextInput(l)
			if r == nil {
				break
			}
			p.positions[l] = r.offset + 1
			queue = append(queue, r)
		}
		if len(queue) > 0 {
			p.batch, p.logs = append(p.batch, queue), append(p.logs, l)
		}
	}
	if len(p.batch) > 0 {
		p.oldest = p.batch[0][0].at
		p.phase = handling
	}
	if p.w.broken.offsetsFirst {
		p.commitOffsetsFirst()
	}
}

func (p *process) nextInput(l *partitionLog) *record {
	if p.w.broken.readsUncommitted {
		return l.nextDirty(p.positions[l])
	}
	return l.next(p.positions[l])
}

// waiting reports whether an input has a record for it.
func (p *process) waiting() bool {
	for _, input := range p.def.Group.Inputs {
		for _, part := range p.owned {
			if p.nextInput(p.w.broker.topics[input.Name].partitions[part]) != nil {
				return true
			}
		}
	}
	return false
}

// offer adds the offsets of what was handled to the transaction. A group that
// has moved on refuses them, which is no error, and as final as one (rule 3).
func (p *process) offer() {
	if p.refused && !p.w.broken.ignoresRefusedRecords {
		p.w.tell(p.name, "ends its session: the broker refused a record")
		p.endSession()
		return
	}
	if p.w.broken.offsetsFirst {
		p.attach()
		p.phase = ending
		return
	}
	offsets := make([]offset, 0, len(p.logs))
	for _, l := range p.logs {
		offsets = append(offsets, offset{l, p.positions[l]})
	}
	switch err := p.w.broker.sendOffsets(p.producer, p.epoch, p.group, p.member, p.generation, offsets); {
	case errors.Is(err, errFenced):
		p.w.count(fencedCommit)
		p.spent("its producer is fenced")
		return
	case errors.Is(err, errGeneration):
		p.w.count(refusedCommit)
		p.w.tell(p.name, "has its commit refused: the group has moved on")
		if p.w.broken.ignoresRefusal {
			_ = p.w.broker.end(p.producer, p.epoch, aborted)
			p.begin()
			p.generation = p.group.generation
			return
		}
		p.endSession()
		return
	}
	p.attach()
	p.phase = ending
}

// attach tells the books what is in the transaction.
func (p *process) attach() {
	if tx := p.producer.tx; tx != nil {
		tx.handled = append(tx.handled, p.handled...)
	}
}

// begin makes room for the next batch and keeps the tables as they are.
func (p *process) begin() {
	p.batch, p.logs, p.handled, p.refused = nil, nil, nil, false
	p.phase = polling
}

// end ends the transaction. The answer may be lost, before or after the broker
// has decided: then nothing is known and the client is of no more use.
func (p *process) end() {
	if p.w.broken.storesBeforeCommit {
		p.storeOverlay()
	}
	switch lost := p.w.fault(lostEnd); {
	case lost && p.w.choices.pick(2) == 0:
		p.w.tell(p.name, "sends the commit, which does not arrive")
		p.spent("the end of its transaction is unknown")
		return
	case lost:
		p.w.tell(p.name, "sends the commit, whose answer is lost")
		if p.w.broker.end(p.producer, p.epoch, committed) == nil {
			p.w.count(lostAnswer)
		}
		p.spent("the end of its transaction is unknown")
		return
	}
	if err := p.w.broker.end(p.producer, p.epoch, committed); err != nil {
		p.w.count(fencedCommit)
		p.spent("its producer is fenced")
		return
	}
	p.w.tell(p.name, "commits")
	p.w.stats.commits++
	p.phase = storing
}

// store writes what is committed to the local tables (rule 4).
func (p *process) store() {
	p.storeOverlay()
	p.dropOverlay()
	p.begin()
}

func (p *process) storeOverlay() {
	for part, values := range p.overlay {
		if len(values) > 0 || p.ends[part] >= 0 {
			p.tables.write(int32(part), values, p.ends[part])
		}
	}
}

// commitOffsetsFirst is what at-most-once does.
func (p *process) commitOffsetsFirst() {
	for _, l := range p.logs {
		p.group.offsets[l] = p.positions[l]
	}
}
