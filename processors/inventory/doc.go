// Package inventory is the processor that owns the seats.
//
// Key: seat block ("event/ticket-type/NNNN"). Input: seat-commands, and nothing
// else. Outputs: seat-events (keyed by registration id, the answer to one hold)
// and block-events (keyed by event id, the answer to the catalog). Table: Block.
//
// A block is a deterministic function of its log: no look-up, no clock, no
// randomness. Hence two owners can never disagree about it, and the table can be
// rebuilt by running the commands again (I9).
//
// Invariants enforced here:
//   - I1: the seats of all holds are disjoint and inside the block, sold seats
//     are owned, and free + held + sold + withdrawn = size. The block is checked
//     before and after every command; a violation is an error, which stops the
//     partition instead of selling a seat twice.
//   - I5: a hold that owns any seat is never topped up, so that a repeated
//     command gets the same answer and changes nothing.
//
// A seat comes back only by its saga's Release, never by time.
package inventory
