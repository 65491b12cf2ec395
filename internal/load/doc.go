// Package load sells out an event through the front door, and measures how long
// it takes until each registration is visibly confirmed.
//
// The plan (plan.go) is pure: which request number n is follows from the seed
// and n alone, so that it costs no memory and a second run asks for the same.
// It asks for about a quarter more tickets than can be had, of each type.
//
// With a rate the loop is open: request n is due at start + n/rate whatever
// became of the ones before, and its latency counts from then, so that a
// stall shows in every request that it delays (no coordinated omission). Without
// a rate the loop is closed: a bounded number of registrations is undecided at
// any time, so that the run measures what the whole can decide, and not how long
// a queue can grow.
//
// An observer reads registration-events, committed records only, and notes when
// each registration is first seen decided; the run ends when every accepted one
// is decided and settled. What was accepted is appended to a file, one line
// each, so that somebody else can check that nothing of it was lost.
//
//	config.go    what a run needs
//	plan.go      the event and its requests, pure
//	run.go       the run, from its event to its result
//	pace.go      when the next request is due
//	single.go    one request for each registration
//	batch.go     many registrations in one request
//	door.go      HTTP, repetition, answers
//	tracker.go   what became of each registration
//	observer.go  registration-events
//	accepted.go  the file of what was accepted
//	result.go    progress and result
//	declines.go  tells the simulated provider what to decline
package load
