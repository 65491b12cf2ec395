package simulation

// Control is a system that is broken on purpose, and by what that is noticed. If
// a control passes, it is the test that is broken.
type Control struct {
	Name string
	// Breaks is the rule, trace or invariant of the design that it breaks.
	Breaks string
	// How it is broken, in one sentence.
	How string
	// Invariants are those by which the simulation notices it. Where it cannot,
	// Test names the Go test that does, as "folder TestName".
	Invariants []string
	Test       string
	broken     variant
}

// Controls lists all of them.
func Controls() []Control {
	var all []Control
	all = append(all, runtimeControls()...)
	all = append(all, readingControls()...)
	all = append(all, retryControls()...)
	all = append(all, edgeControls()...)
	all = append(all, seatControls()...)
	all = append(all, sagaControls()...)
	all = append(all, moneyControls()...)
	return append(all, testedControls()...)
}
