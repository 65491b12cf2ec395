// Package catalog is the processor that keeps the events: reference data, and
// the list of seat blocks that each ticket type is cut into.
//
// Key: event id. Inputs: catalog-commands (from organisers) and block-events
// (answers of seat blocks). Outputs: catalog-events (a snapshot whenever the
// version rises, and only then) and seat-commands (OpenBlock, CloseBlock). Table:
// Event.
//
// A ticket type's capacity is cut into blocks once. It grows by new blocks; it is
// lowered by closing whole blocks from the end of the list. The catalog does not
// know which seats are free, only the blocks do, so a closed block withdraws its
// free seats and keeps the owned ones; capacity is never lowered below the one
// asked for, and what is asked for is reached to within a block. Nothing ever
// re-cuts a block.
//
// An event is on sale when all its blocks have answered.
//
// Invariants enforced here:
//   - I2, I5: every accepted command leaves its position and result, also when it
//     is refused or known; a repeated command sends again what blocks have not
//     answered (Outstanding), and nothing else.
//   - I1: the list of blocks is append-only, and a block's own size wins over the
//     size in the list.
//
// How many of its blocks have answered is part of the value but not of the
// version: it is visible only when the event comes on sale.
package catalog
