package simulation

// fault is something that a schedule does to the system, or that comes about in
// it. Each is counted, and a run of many schedules has to have seen each.
type fault int

// Faults at a step, drawn when the step comes to it.
const (
	refusedRecord  fault = iota // the broker refuses a record of a transaction
	lostEnd                     // the end of a transaction, or its answer, is lost
	passingError                // the handler fails for a reason that passes
	storageFails                // the local storage does not give a state
	requestLost                 // a call never reaches the provider
	appliedLate                 // the provider decides after the caller gave up
	answerLost                  // the provider decides, and its answer is lost
	serverError                 // the provider fails
	timerLost                   // a timer is not acknowledged, and not written
	loadAnswerLost              // the sink's batch is written, and the answer is lost

	// Faults between two steps.
	crash
	crashPower // and the last writes to the disk are gone
	crashDisk  // and the disk is gone
	stageCrash
	pause
	goesOn
	replace // of a paused process: it goes on as a zombie
	move    // of partitions
	compaction
	markerCompaction // markers go, too
	skew
	awayOrBack // the provider
	arrival    // of requests that were travelling
	poison     // a record that no correct peer sends
	pass       // of a little time
	passLong   // past time-outs and deadlines
	passDay    // past the life of an idempotency key
	crashAll   // every process of a group at once

	lastDrawn // faults after it are not drawn: they come about

	revocation
	refusedCommit
	fencedCommit
	refusedStageCommit
	lostAnswer
	newClient
	zombieEnds
	txTimeout
	sessionEnds
	deadLetter
	cameBack
	cameBackTwice
	overtaken
	providerAway
	inProgress
	lateDecision
	declined
	queried
	notFound
	repeatedRequest
	conflictingBody
	cancelOpen
	cancelConfirmed
	cancelLine
	cancelUnknown
	eventCancelled
	capacityChanged
	limitReached
	soldOut
	expired
	paymentFailed
	confirmed
	parked
	importTaken
	importEnded
	importOwed

	faultCount
)

// faultNames are as the summary prints them.
var faultNames = [faultCount]string{
	refusedRecord: "record refused by the broker", lostEnd: "end of a transaction lost", passingError: "handler failed, record put off", storageFails: "local storage failed",
	requestLost: "request to the provider lost", appliedLate: "charge or refund applied late", answerLost: "provider's answer lost",
	serverError: "provider failed", timerLost: "timer lost", loadAnswerLost: "sink's answer lost", crash: "crash", crashPower: "crash with power lost",
	crashDisk: "crash with the disk lost", stageCrash: "crash of a stage", pause: "pause", goesOn: "paused one goes on",
	replace: "paused one replaced", move: "partitions moved", compaction: "table compacted", markerCompaction: "markers compacted away",
	skew: "clock set wrong", awayOrBack: "provider goes away or comes back", arrival: "travelling requests arrive",
	poison: "poison record", pass: "a little time passes", passLong: "minutes pass", passDay: "a day passes", crashAll: "whole group crashes",
	revocation: "assignment revoked", refusedCommit: "commit refused by a rebalance", fencedCommit: "commit fenced",
	refusedStageCommit: "stage's commit refused", lostAnswer: "commit whose answer was lost", newClient: "client made anew",
	zombieEnds: "zombie fenced", txTimeout: "transaction timed out", sessionEnds: "member given up by its group",
	deadLetter: "dead letter", cameBack: "put-off record came back", cameBackTwice: "put-off record came back twice",
	overtaken: "put-off record overtaken by a later one of its key", providerAway: "call while the provider is away", inProgress: "call in progress already",
	lateDecision: "late decision", declined: "charge declined", queried: "query", notFound: "query that finds nothing",
	repeatedRequest: "request repeated", conflictingBody: "other body under an id", cancelOpen: "open registration cancelled",
	cancelConfirmed: "confirmed registration cancelled", cancelLine: "line cancelled", cancelUnknown: "unknown registration cancelled",
	eventCancelled: "event cancelled", capacityChanged: "capacity changed", limitReached: "attendee's limit reached", soldOut: "sold out",
	expired: "expired", paymentFailed: "payment failed", confirmed: "confirmed", parked: "payment parked",
	importTaken: "import taken over", importEnded: "import that was cancelled at its source", importOwed: "money of an import owed",
}

// rates are how often each drawn fault comes when its schedule has it, in 64ths
// of the steps that it can come at.
var rates = [lastDrawn]int{
	refusedRecord: 1, lostEnd: 6, passingError: 2, storageFails: 1, requestLost: 12, appliedLate: 16, answerLost: 12, serverError: 8, timerLost: 12, loadAnswerLost: 12,
}

// weights are the shares of the faults between two steps.
var weights = [lastDrawn]int{
	crash: 8, crashPower: 4, crashDisk: 3, stageCrash: 5, pause: 9, goesOn: 12, replace: 4, move: 8, compaction: 3, markerCompaction: 3,
	skew: 3, awayOrBack: 3, arrival: 6, poison: 2, pass: 6, passLong: 2, passDay: 1, crashAll: 1,
}

// plan is which faults a schedule has, and how many. A schedule with few kinds
// gets deeper into each.
type plan struct {
	rate    [lastDrawn]int
	between []fault // weighted
	density int     // faults between two steps, in 64ths
}

func newPlan(c *choices) plan {
	var p plan
	for f := range lastDrawn {
		if c.pick(5) < 2 { // 0, quiet: the schedule does not have it
			continue
		}
		p.rate[f] = rates[f]
		for range weights[f] {
			p.between = append(p.between, f)
		}
	}
	p.density = []int{0, 1, 2, 4, 8}[c.pick(5)]
	return p
}

// fault draws whether one comes at this step.
func (w *world) fault(f fault) bool {
	if !w.choices.often(w.plan.rate[f]) {
		return false
	}
	w.count(f)
	return true
}

func (w *world) count(f fault) { w.stats.faults[f]++ }

// disturb draws what happens between two steps.
func (w *world) disturb() {
	if len(w.plan.between) == 0 || !w.choices.often(w.plan.density) {
		return
	}
	f := w.plan.between[w.choices.pick(len(w.plan.between))]
	if w.strike(f) {
		w.count(f)
	}
}

// skewMax bounds how wrong clocks are, in seconds; skewFew is what most are. Any
// two differ by less than ten minutes, the margin before the end of a key's life
// (payments.Config.KeyMargin): beyond it a request under a key that the provider
// has forgotten would be called.
const (
	skewFew = 12
	skewMax = 290
)

// drawSkew draws how wrong a clock is, milliseconds: not at all first, and in
// every third case by a lot.
func (w *world) drawSkew() int64 {
	most := []int{skewFew, skewFew, skewMax}[w.choices.pick(3)]
	return int64(w.choices.pick(2*most+1)+most)%int64(2*most+1)*1000 - int64(most)*1000
}

// strike lets a fault happen; false: there was nobody for it.
func (w *world) strike(f fault) bool {
	switch f {
	case crash, crashPower, crashDisk:
		return w.crashOne(f)
	case crashAll:
		return w.crashGroup()
	case stageCrash:
		return w.crashStage()
	case pause, goesOn, replace:
		return w.pauses(f)
	case move:
		g := w.groups[w.choices.pick(len(w.groups))]
		w.tell("group "+g.name, "moves its partitions")
		g.rebalance(w.choices.pick(3))
		return true
	case compaction, markerCompaction:
		return w.compact(f == markerCompaction)
	case skew:
		s := w.slots[w.choices.pick(len(w.slots))]
		s.skew = w.drawSkew()
		w.tell(s.name, "has its clock set %d s wrong", s.skew/1000)
		return true
	case awayOrBack:
		w.provider.away = !w.provider.away
		return true
	case arrival:
		some := len(w.provider.travelling) > 0
		w.provider.arrive()
		return some
	case poison:
		return w.poison()
	case pass:
		w.pass(int64(1+w.choices.pick(4)) * 1000)
	case passLong:
		w.pass([]int64{7_000, 15_000, 61_000, 130_000, 601_000}[w.choices.pick(5)])
	case passDay:
		w.pass(keyLifetime + int64(w.choices.pick(3))*3_600_000 - 1_800_000)
	}
	return true
}
