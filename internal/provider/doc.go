// Package provider is a simulated payment provider with a real one's
// interface: charges and refunds over HTTP and JSON, idempotency keys, a fee,
// and a ledger that can be read back and held against one's own books.
//
// It can misbehave on request, and always in the same way for the same seed and
// reference: decline, be slow, apply a charge after its caller has given up,
// deny knowing a charge that is still travelling, fail before applying, be away.
//
// # Promises
//
// A charge or refund is answered only after its ledger entry is on disk
// (entries are fsynced in groups). One idempotency key decides one thing for as
// long as the key lives, over restarts and kill -9 too, because the keys stand
// in the ledger. Two keys decide two things even for one reference: what
// protects a payment from being captured twice is that its caller uses one key,
// and the ledger shows it if the caller does not (I3).
//
// # HTTP interface
//
//	POST /v1/charges                  201 captured or declined
//	POST /v1/charges/{id}/refunds     201 refunded
//	GET  /v1/charges/{id}             one charge with what was refunded of it
//	GET  /v1/charges?reference=       all charges of a payment, 404 when there are none
//	GET  /v1/refunds?reference=       all refunds of a refund reference, 404 likewise
//	GET  /v1/ledger?after=&limit=     NDJSON, in order of seq; see [Entry]
//	GET  /v1/behaviour                see [Behaviour]
//	PUT  /v1/behaviour
//	GET  /healthz, /readyz
//
// Errors are {"error":{"code":"...","message":"..."}}. A caller may repeat after
// 409 idempotency_in_progress, 500, 503 and every broken connection, always with
// the same key and body; 400, 404 and 422 are final.
//
// # Files
//
//	ledger.ndjson    one line per decision, see ledgerLine
//	behaviour.json   what PUT /v1/behaviour asked for
//	lock             held while the provider runs
package provider
