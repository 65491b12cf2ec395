// Package simulation runs the whole system in memory under arbitrary schedules, and
// checks the invariants I1 to I9 while it does. A schedule is a function of its seed:
// the one that fails comes again, and is shrunk to a short story.
//
//	make simulate SCHEDULES=100000     many
//	make simulate SEED=42              the story of one
//
// # What is real
//
// The transitions of all groups, as they are wired (catalog, registrations, inventory,
// payments, attendees) with the availability index; the gateway, down to the HTTP
// requests that it makes; the Protobuf encoding at every hop; the partitioner; and the
// decisions of the runtime that need no Kafka (internal/stream/core): what becomes of a
// record, which due deadlines are sent, how far a stage commits.
//
// # What is modelled
//
//   - The log (log.go, broker.go, group.go): partitions whose transaction markers take
//     offsets and come one after the other, read committed up to the last stable offset,
//     compaction up to the very end of a table, fencing by epoch, transactions that time
//     out, offsets in transactions with the group's generation, and who is not heard of
//     being given up.
//   - A member of a stateful group (process.go, recover.go, handle.go, commit.go,
//     timers.go), step by step as internal/stream runs it: fence, join, learn the
//     assignment, recover, poll, handle, add the offsets, end, store. Its disk (disk.go)
//     outlives it, and may lose its last batches.
//   - A member of a group with effects outside Kafka (stage.go): the gateway, the
//     sink, whose warehouse (sink.go) keeps the last version of a key, and the one that
//     brings back what was put off (retries.go).
//   - The provider (provider.go), whose ledger is the truth about money; the clients
//     (client.go); a view (view.go).
//
// # What schedules do
//
// One source (choices.go) makes every decision, and 0 is always the quiet one. It
// chooses who does the next step, and what goes wrong (faults.go): crashes between any
// two steps, with the disk or without, pauses of an owner that goes on later, rebalances,
// refused records and commits, lost answers, handlers that fail, so that a record comes
// again behind later ones of its key, compaction, wrong clocks, a provider that is away
// or late, clients that repeat themselves, poison. A schedule has only some kinds of
// faults, so that it gets deep into them. In the end all is quiet, and everything has to
// settle.
//
// # What is checked
//
// The books (books.go, sagas.go) see each transaction at the moment of its commit: every
// record handled once, in order, with one verdict or put off, by the committed state (I5,
// I6, I7); seats (I1), decisions (I2), captures (I3, I4), versions (I9). At rest (rest.go):
// everything settled or parked (I2), what was put off back once or more (I7), seats and money in their places (I1, I3, I4),
// the warehouse complete (I8), tables rebuilt from their logs equal to the live ones (I9).
//
// Whether it would notice anything is what the negative controls (control.go,
// docs/CONTROLS.md) are for.
//
// # How to read a story
//
// A line is a step: its number, who did it, and what. "registrations/b" is the second
// member of that group; "r3" is a registration; seat-commands/1@20 is offset 20 of
// partition 1. Records of other partitions than the ones at fault are part of it: the
// last lines name what was broken, the first faults above them are usually why.
//
// # What it does not do
//
// It knows neither Goka nor franz-go nor Pebble nor ClickHouse: that these do what the
// model says is tested in internal/stream, sinks and internal/systemtest. Clocks differ
// by less than ten minutes (skewMax says why). No record fails for good, and the budget
// of failures stops no group: internal/stream and internal/deadletters have tests for both.
package simulation
