// Package reports makes statements for people out of the analytics database.
//
// The figures have one definition each, the named queries of
// sinks/clickhouse/queries. Every report says its parameters, the moment that it
// is as of, and an id made of both and its name: two reports with one id say the
// same.
//
// A report is a definition in a file of its own, listed in the catalogue: sections
// with a query and columns, which take the query's fields by their names. What the
// figures must agree on is checked in its conclude, which sets the alarm. Package
// statement has the structure, package render the formats.
//
// Amounts stay integers of minor units up to the last step, which puts the
// decimal point where ISO 4217 has it for the currency.
package reports
