// Package backfill brings the history of another system into this one: orders that
// were sold, paid for and partly given back there, read from its exports.
//
// Reading (Read) makes orders of files, whatever their layout, and collects what is
// wrong with them. Planning (NewPlan) finds the events that they are for, or says
// how to make them. Running (Run) sends what is left through the same topics as
// everything else, marked as imported, and waits for each decision.
//
// Nothing is imported twice (I5): a registration's id is derived from organiser,
// source and order, so a repeated run, or one that goes on after a crash, finds
// what it did before.
package backfill
