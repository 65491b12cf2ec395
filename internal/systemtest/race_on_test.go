//go:build race

package systemtest

// buildFlags make the tested binary like the test's own.
var buildFlags = []string{"-race"}
