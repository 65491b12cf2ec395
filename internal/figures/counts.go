// Package figures writes counts, and amounts of money with the digits of their
// currency.
package figures

// Grouped writes a count with thousands separators.
func Grouped(n int64) string { return decimal(n, 0, ",") }
