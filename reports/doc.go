// Package reports makes statements for people out of the analytics database: as a
// table for a terminal, as CSV and as JSON.
//
// The figures have one definition each, the named queries of
// sinks/clickhouse/queries. Every report says its parameters, the moment that it
// is as of, and an id made of both and its name: two reports with one id say the
// same.
//
// Amounts stay integers of minor units up to the last step, which puts the
// decimal point where ISO 4217 has it for the currency.
package reports
