// Package settlement holds what a payment provider says that it has settled
// against the payments in the analytics database, line by line.
//
// # How
//
// Both sides are read in the order of one key and merged: the provider's lines
// are sorted here, in runs that go to a temporary file, ours by ClickHouse. Memory
// is bounded whatever the number of lines: one run (100,000 lines), 64 KiB for each run
// that was written, and the findings that are kept for the report (10,000 of each
// kind; all are counted). ClickHouse sorts on its disk beyond 128 MiB. A million lines
// of a file against a million payments in the embedded engine: 19 seconds and a heap
// of 190 MB, the engine's HTTP server in the same process; the sorting and merging alone
// take 5 seconds and 73 MB.
//
// The key is our own reference (the id of the payment or of the refund) where the
// provider tells it, as the ledger of internal/provider does, and else the
// provider's id of the charge or refund.
//
// # Files
//
// A file is CSV with a header; columns come in any order, others are ignored. Two
// forms are told apart by the header:
//
// The ledger's: kind (charge or refund; a decline is skipped), id, reference,
// amount_minor, currency, fee_minor, at (RFC 3339). Amounts are in minor units and
// positive for both kinds, as in GET /v1/ledger.
//
// Stripe's balance transactions, as the API's report
// (balance_transaction_id, reporting_category, source_id, gross, fee, currency,
// created_utc) or as the dashboard's export (id, Type, Source, Amount, Fee, Currency,
// Created (UTC)). Amounts are in major units and negative for refunds. The
// categories charge, payment, refund and payment_refund are settled; the others
// (payout, fee, adjustment ...) move no customer's money, and are counted only.
//
// # Period
//
// A line or a payment counts when the provider's time of it is in the period. A
// pair counts when one of the two is, so that money which the two sides see on
// different sides of midnight is one difference of days, not two missing lines.
package settlement
