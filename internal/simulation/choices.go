package simulation

// choices is the one source of every decision of a run. A decision is a small
// number, and 0 is always the quiet one: no fault, the one who waits longest,
// the oldest record. Hence a run is its tape of decisions, and a shorter tape, or
// one with more zeroes, is a simpler story.
type choices struct {
	tape   []uint16
	replay bool
	at     int
	state  uint64 // of the generator, when the tape is being written
	quiet  bool   // everything is 0 and nothing is written down
}

// newChoices draws decisions and writes them down.
func newChoices(seed uint64) *choices {
	return &choices{state: seed, tape: make([]uint16, 0, 2048)}
}

// replayed takes its decisions from a tape; past its end all is quiet.
func replayed(tape []uint16) *choices { return &choices{tape: tape, replay: true} }

// pick decides among n; n is at most 65536.
func (c *choices) pick(n int) int {
	if c.quiet || n <= 1 {
		return 0
	}
	if c.replay {
		if c.at >= len(c.tape) {
			return 0
		}
		v := int(c.tape[c.at]) % n
		c.at++
		return v
	}
	v := uint16((c.next() >> 32) * uint64(n) >> 32)
	c.tape = append(c.tape, v)
	return int(v)
}

// often decides for something that happens in n of 64 cases.
func (c *choices) often(n int) bool { return n > 0 && c.pick(64) >= 64-n }

// next is splitmix64.
func (c *choices) next() uint64 {
	c.state += 0x9e3779b97f4a7c15
	z := c.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
