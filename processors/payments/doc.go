// Package payments is the money state machine: one payment per registration,
// from the request for money to its capture and to its way back.
//
// Key: payment id (text). Table: payments-table, a boxoffice.v1.Payment.
//
// Inputs:
//   - payment-commands: Charge, RefundPayment and CancelPayment of the saga,
//     RetryPayment of a person
//   - gateway-results: what the payment provider answered, or UNKNOWN
//   - payment-timers: the deadline of the payment is due
//
// Outputs:
//   - gateway-requests: at most one call at a time that the provider is to get
//   - payment-events: a full snapshot with every new version, keyed by
//     registration id
//
// A charge whose outcome is unknown is never taken for refused. The same charge
// is asked for again, with the same key, until the answer is definite; when
// nobody wants it any more by then, it is given back. Once the provider may
// have forgotten the key, repeating could capture twice, so from then on the
// provider is only queried, and in the end the payment is parked for a person,
// who may have it asked again or say what the provider's books say.
//
// A payment that was imported has moved its money elsewhere, before it came here:
// it is captured from the start and nothing is ever asked about it. A refund that
// becomes due later is parked for a person.
//
// Invariants that this package enforces:
//   - I3: one capture per payment id; what is captured and not wanted is given
//     back in full, once.
//   - I4: amounts are positive integers of minor units; a capture is exactly
//     what was asked for; refunds together never exceed it; the books' day is
//     the provider's time.
//   - I5: a repeated message changes no state and sends nothing that the state
//     does not wait for.
package payments
