// Package core holds the decisions of the runtime that need neither Kafka nor
// Goka: what becomes of one record, when a deadline is sent as a timer, and how
// far a stage may commit. They are apart so that the deterministic simulation
// (internal/simulation) runs the very code that runs in production.
package core
