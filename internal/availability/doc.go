// Package availability is an in-memory index of the seat blocks that have room.
//
// It is a hint: blocks decide. The registrations group asks it which block to
// try (Pick), and the views answer from it how many tickets are left (Summary).
// It is fed with the records of inventory-table (ApplyRecord), and, sooner but
// only in part, with the answers that blocks give to the group's own holds
// (Observe). Each block's figures carry the block's version, so that they may come
// in any order and more than once.
//
// An index subtracts the holds that it has asked for and that were not answered
// yet (Asked, Answered), or a rush of requests would all be sent to the same
// blocks. A hold whose answer never comes, because its transaction was aborted,
// ages out.
//
// All methods are safe for concurrent use. A pick costs the same however many
// blocks there are: blocks lie in buckets by the room that they have.
package availability
