// Package stream runs Goka processors exactly once: under Kafka transactions,
// through Goka's public builders only. A batch's table records, outputs and
// consumed offsets become visible together or not at all.
//
// A Runner runs one stateful group. A Stage consumes for effects outside Kafka,
// at least once. A View serves a group's table. A Follower reads topics from
// their start. An Emitter writes from outside. Ensure creates the topics.
// README.md tells how they work and lists the runtime rules that the comments
// in this package name.
package stream
