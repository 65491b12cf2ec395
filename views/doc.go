// Package views is the read side: it answers look-ups from copies of the state
// tables and writes nothing to Kafka.
//
// One handler serves plain JSON (GET /v1/...) and the Connect, gRPC and gRPC-Web
// protocols (boxoffice.v1.LookupService) on one port. The two are the same
// answers: a REST request is turned into the service's request message, and the
// service's response message is written as JSON.
//
// # Promises
//
// Every answer says how fresh it is. as_of is read before the value, so that
// what is answered is at least as new as it claims. While a view catches up (at
// the start, and again whenever its catch-up restarts) the answer is 503:
// nothing old is ever served as fresh.
//
// A client that was told a command's position can wait for it (wait_for): the
// answer comes as soon as the key's value carries the result of that command or
// of a later one. Every accepted command leaves its position in its key's value,
// refused ones too, so a wait for an accepted command ends.
//
// An organiser sees its own registrations, payments and attendees; to everybody
// else they do not exist. Events and availability are open to every valid key.
//
// # Files
//
//	server.go    configuration, routes, serving
//	lookup.go    the look-ups themselves, of any protocol
//	list.go      pages and cursors
//	wait.go      wait_for, and following one registration
//	table.go     what is needed of a view; freshness and readiness
//	answer.go    from table values to answers, pure
//	json.go      answers as JSON, pure
//	rest.go      REST
//	sse.go       server-sent events
//	rpc.go       Connect and gRPC
//	failure.go   what can go wrong, and what to do about it
//	metrics.go
package views
