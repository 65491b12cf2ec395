// Package rebuild recomputes what is derived from the log, compares it with what
// the running system has (I9), and puts the recomputed in its place.
//
// A table is recomputed into storage of its own. Where every version is in an
// event topic, the last one is the value; where events are deltas or there are
// none, the commands are run through the group's handler once more, which
// depends on nothing else.
package rebuild
