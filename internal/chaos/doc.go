// Package chaos breaks a running system on purpose, one fault after another, under
// load, and finds out whether anything that clients were told is lost, doubled
// or stuck afterwards.
//
// A run is: load at a steady rate; a schedule of faults drawn from a seed; after
// each fault a gate that opens when every role is ready, the consumers' lag has
// fallen and is quiet, and an order sent after the fault is decided; then a fence
// (nothing is sent any more, what was accepted is frozen), quiescence, and an
// oracle that holds what clients were told against the topics, the payment
// provider's ledger and ClickHouse.
//
// The verdict is "pass" only when every fault is known to have taken effect:
// a run that broke nothing has shown nothing, and is "unverified".
//
//	config.go    the system under test and what a run needs
//	kinds.go     the kinds of fault, and what each can hit
//	schedule.go  which fault comes when, pure
//	run.go       the run, from its load to its verdict
//	faults.go    faults of processes, and how their effect is known
//	payments.go  faults of the payment provider
//	fetch.go     one HTTP request
//	process.go   signals and states of processes
//	groups.go    members and lag of the consumer groups
//	health.go    which roles are ready
//	gate.go      the recovery gate
//	probe.go     an order that shows that the system decides
//	sales.go     the load
//	oracle.go    what was accepted against what the sources say
//	verdict.go   pass, fail or unverified, pure
//	artefact.go  the JSON of a run
//	report.go    what people see
package chaos
