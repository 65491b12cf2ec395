// Package history makes a plausible past: events, the registrations for them, their
// payments and seat blocks, each in the version that stood in the end. It is for
// looking at reports and dashboards, and for measuring them, before there is a past
// of one's own.
//
//	New ─> plan the events ─> each event: when orders come (arrivals.go)
//	                                      what is ordered, and its fate (orders.go)
//	                                      records as the log would have them (records.go)
//	                         ─> Taker, the loader's Bulk
//
// The same configuration makes the same past, record by record, so that writing it
// twice changes nothing. Records carry partition -1, which no topic has: nobody can
// take them for what a log said.
package history
