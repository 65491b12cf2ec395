// Package statement is what a report is made of, whatever it is about and however
// it is shown: a head, and sections of columns, rows and totals.
//
// Amounts are integers of minor units. A row has one currency, a total is of one
// currency, and no sum ever mixes two.
package statement
