// Package sagas is what operators see of open registrations and payments, and
// how they help those that wait for a person.
//
// It reads the tables' topics up to their ends with plain consumers, so that it
// works while the system runs and needs none of its parts. What it changes, it
// changes by messages that the groups take from everybody: a repeated command, a
// RetryPayment, an answer of the provider. Each is written in one transaction
// with its audit record.
package sagas
