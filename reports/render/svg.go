package render

import (
	"math"
	"strconv"
	"strings"

	"github.com/eventpro/boxoffice/internal/figures"
)

// isWhole says whether an amount has nothing after the decimal point.
func isWhole(minor int64, currency string) bool {
	return minor%int64(math.Pow10(figures.Digits(currency))) == 0
}

// wholeOf is an amount without what is after the decimal point.
func wholeOf(minor int64, currency string) int64 {
	return minor / int64(math.Pow10(figures.Digits(currency)))
}

// Path writes a curve for SVG.
func (c curve) Path() string {
	var b strings.Builder
	for _, p := range c.Points {
		b.WriteString(coordinate(p.X) + "," + coordinate(p.Y) + " ")
	}
	return strings.TrimSpace(b.String())
}

// Dots are the points of a curve that are marked: all, if there are not many.
func (c curve) Dots() []dot {
	if len(c.Points) > 62 {
		return nil
	}
	return c.Points
}

func coordinate(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }
