// Package systemtest holds the tests of the whole: each starts the built binary
// with everything embedded, speaks to it over its own protocols, breaks
// something, and checks what an attendee, the payment provider and an analyst
// then see. It has no code but its tests.
//
// The moments of the kill -9 story are drawn from a seed. More of them:
//
//	go test ./internal/systemtest -run TestKilled -moments 50 -seed 7 -timeout 30m
package systemtest
