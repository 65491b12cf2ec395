package render

import "testing"

// A festival in Kuwait is legible on paper: its letters join and go to the left,
// and the year in it goes to the right.
func TestVisual(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ logical, want string }{
		{"Sale of ☆", "Sale of ☆"},
		{"東京", "東京"},
		{"שלום", "םולש"},
		{"כנס 2026 א", "א 2026 סנכ"},
		{"Live: שלום!", "Live: םולש!"},
		// Drawn from the left: the last letter in its final shape comes first.
		{"كويت", "\uFE96\uFEF3\uFEEE\uFEDB"},
		// Lam and alef are one letter, and alef does not join the meem after it.
		{"سلام", "\uFEE1\uFEFC\uFEB3"},
		{"پارک", "\uFB8E\uFEAD\uFE8E\uFB58"},
	} {
		if got := visual(c.logical); got != c.want {
			t.Errorf("%q becomes %q (%U), want %q (%U)", c.logical, got, []rune(got), c.want, []rune(c.want))
		}
	}
}
