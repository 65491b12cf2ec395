// Package gateway calls the payment provider over HTTP. It is stateless and at
// least once: a request that was called and not committed is called again, with
// the same idempotency key and the same body, which the provider decides once.
//
// Key: payment id (text). Input: gateway-requests. Output: gateway-results, one
// per request.
//
// The runtime hands over one request per payment id at a time, in log order, so
// that a later request never overtakes an earlier one. Every request is answered
// within [Config].Timeout: a call that hangs ends as UNKNOWN and never holds the
// commit of its partition.
//
// # What an answer means
//
// Only a decision of the provider is an answer. Timeouts, broken connections, an
// open circuit breaker, 404, 409, 429, 5xx and anything unreadable are UNKNOWN,
// never a refusal: the payment asks again. See [answer.result].
//
// # Invariants
//
//   - I3: a charge is called only while the provider is sure to remember its
//     key, and always with the same body under the same key.
//   - I4: an answer about another currency or another reference is no answer to
//     the request.
package gateway
