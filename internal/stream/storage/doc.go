// Package storage keeps Goka's tables in one Pebble database for each role of a
// process, shared by all partitions.
//
// A partition's writes first go to an overlay in memory. While a table is
// recovered, and always in a view, everything that is written has been
// committed in the log already, and the overlay is only a write buffer. In a
// processor that is live the overlay is the open transaction: Store.Commit
// writes it once Kafka has committed, and Close drops it (runtime rule 4).
//
// Values, the offset of the log up to which they are complete, and the
// deadline index change in one atomic batch, so losing the unsynced tail of
// the database is harmless: it only means that a longer tail of the log is
// read again.
package storage
