// Package registrations is the processor that runs the saga of a registration:
// allowance, seats, money, and exactly one decision.
//
// Key: registration id. Inputs: registration-commands (from the front door),
// seat-events (answers of seat blocks), payment-events (snapshots of the
// payment), attendee-events (allowances) and registration-timers (deadlines).
// Outputs: registration-events (a snapshot whenever the version rises, and only
// then), seat-commands, payment-commands and attendee-updates. Table:
// Registration.
//
//	Register ──> REQUESTED ──> HOLDING ──> CHARGING ──> SETTLING ──> SETTLED
//	             (only with    (one hold   (not when    (outcome
//	              a limit)      per line    free)        decided)
//	                            at a time)
//
// Invariants enforced here:
//   - I2: an outcome is decided once (decide, confirm), by the deadline in the
//     state; a confirmed registration may later be cancelled, which is a second
//     decision. What was started is settled once the other parts answer.
//   - I3: CONFIRMED is decided only when the payment is captured or nothing is
//     to be paid; money that nobody wants is cancelled or refunded.
//   - I4: what is refunded are whole lines, by the totals that were charged.
//   - I5: every id is derived, so a repeated message changes nothing, and an edge
//     that repeats itself (client, deadline) is sent what the state still waits
//     for (Outstanding), never anything else.
//
// An imported registration was sold elsewhere: it takes its seats, and its payment
// is told what has moved (imported.go).
//
// Seats of blocks that answer late, or that were asked twice, are wanted only if
// the state lists their hold; anything else is given back.
//
// The choice of a block is the one input that is not in the log: it comes from a
// Picker, and is a hint. The state records what was chosen, so nothing depends on
// the hint being the same again.
package registrations
