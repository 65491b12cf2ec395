// Package verify recomputes the invariants of the box office from what the parts
// left behind: the topics, the payment provider's ledger and ClickHouse. It uses
// none of the counters that the parts keep, and none of their code.
//
// # Order
//
// Whatever is caused is read before its cause, so that nothing seems to lack a
// cause that came in between: ClickHouse, the tables, the snapshots of
// registrations, the answers of blocks and payments, the commands, and the
// provider's ledger last. What then has a cause and no effect yet is in flight.
//
// If the topics did not move between the beginning and the end, nothing is in
// flight and every check is strict, except that sagas may be open: those are
// listed. Options.AtRest says that none may be open either.
//
// # Files
//
//	verify.go         the order of reading and checking
//	report.go         findings, and how they are written
//	cut.go, read.go   where topics end, and reading them up to there
//	store.go          compact state by id
//	registrations.go  snapshots of registrations; I2, I9
//	commands.go       commands, dead letters, what clients were told; I2, I7
//	seats.go          answers and tables of blocks; I1, I9
//	payments.go       payments and the ledger; I3, I4, I9
//	clickhouse.go     what was loaded; I4, I8
package verify
