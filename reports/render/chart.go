package render

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/eventpro/boxoffice/reports/statement"
)

// graph is what a chart shows: one value a series and a place along x.
type graph struct {
	title    string
	currency string
	shape    statement.Shape
	kind     statement.Kind
	days     bool
	labels   []string
	names    []string
	// values are by series, then by place.
	values [][]int64
}

// mostBars is how many texts a chart shows; the smaller ones are one bar.
const mostBars = 12

// graphs are the charts of a section: one a currency, none of nothing or of a
// single place.
func (w writer) graphs(s *statement.Section) []graph {
	if s.Chart == nil {
		return nil
	}
	var out []graph
	for _, currency := range s.Currencies() {
		if g, ok := w.graph(s, currency); ok {
			out = append(out, g)
		}
	}
	return out
}

func (w writer) graph(s *statement.Section, currency string) (graph, bool) {
	x := s.Column(s.Chart.X)
	if x < 0 || len(s.Chart.Y) == 0 {
		return graph{}, false // left out for people
	}
	g := graph{title: s.Chart.Title, currency: currency, shape: s.Chart.Shape, days: s.Columns[x].Kind == statement.Day}
	var y []int
	for _, name := range s.Chart.Y {
		i := s.Column(name)
		if i < 0 {
			return graph{}, false
		}
		y = append(y, i)
		g.names, g.kind = append(g.names, s.Columns[i].Heading), s.Columns[i].Kind
	}
	if currency != "" && g.kind == statement.Money {
		g.title += ", " + currency
	}
	points := pointsOf(s, currency, x, y, w)
	if g.days {
		points = everyDay(points, w, len(y))
	} else if g.shape == statement.Bars {
		points = largest(points)
	}
	g.values = make([][]int64, len(y))
	drawn := false
	for _, p := range points {
		g.labels = append(g.labels, p.label)
		for i, v := range p.values {
			g.values[i] = append(g.values[i], v)
			drawn = drawn || v != 0
		}
	}
	return g, drawn && len(points) > 1 // one alone compares with nothing
}

// point is a place along x.
type point struct {
	label  string
	day    time.Time
	values []int64
}

// pointsOf adds the rows of a currency up by x, in their order.
func pointsOf(s *statement.Section, currency string, x int, y []int, w writer) []point {
	var points []point
	places := map[string]int{}
	for _, row := range s.Rows {
		if row.Currency != currency || row.Cells[x] == nil {
			continue
		}
		label := w.cell(s.Columns[x], row, x)
		place, ok := places[label]
		if !ok {
			place = len(points)
			places[label] = place
			day, _ := row.Cells[x].(time.Time)
			points = append(points, point{label: label, day: day, values: make([]int64, len(y))})
		}
		for i, column := range y {
			n, _ := row.Cells[column].(int64)
			points[place].values[i] += n
		}
	}
	return points
}

// everyDay puts the days in order, and those without rows in as nought: a line
// that passed them by would show sales that never were.
func everyDay(points []point, w writer, series int) []point {
	slices.SortFunc(points, func(a, b point) int { return a.day.Compare(b.day) })
	var out []point
	for _, p := range points {
		for len(out) > 0 {
			next := out[len(out)-1].day.AddDate(0, 0, 1)
			if !next.Before(p.day) {
				break
			}
			out = append(out, point{label: w.Day(next), day: next, values: make([]int64, series)})
		}
		out = append(out, p)
	}
	return out
}

// largest keeps the largest places, the largest first, and makes one of the
// others.
func largest(points []point) []point {
	slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(size(b.values[0]), size(a.values[0])) })
	if len(points) <= mostBars {
		return points
	}
	rest := point{label: "all others", values: make([]int64, len(points[0].values))}
	for _, p := range points[mostBars-1:] {
		for i, v := range p.values {
			rest.values[i] += v
		}
	}
	return append(slices.Clone(points[:mostBars-1]), rest)
}

func size(n int64) float64 { return math.Abs(float64(n)) }

// figure is a value of the graph for people.
func (w writer) figure(g graph, v int64) string {
	if g.kind == statement.Money {
		return w.Amount(v, g.currency)
	}
	return w.Grouped(v)
}

// scale is an axis of figures from least to most, with a line every step.
type scale struct{ least, most, step float64 }

// scaleOf makes an axis with about so many steps of 1, 2 or 5 times a power of
// ten. Nought is on it.
func scaleOf(g graph, steps float64) scale {
	r := rangeOf(g)
	rough := (r.most - r.least) / steps
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	step := power * 10
	for _, n := range []float64{1, 2, 5} {
		if n*power >= rough {
			step = n * power
			break
		}
	}
	step = math.Max(step, 1)
	return scale{least: math.Floor(r.least/step) * step, most: math.Ceil(r.most/step) * step, step: step}
}

// rangeOf is from the least to the most of nought and the values.
func rangeOf(g graph) scale {
	var r scale
	for _, series := range g.values {
		for _, v := range series {
			r.least, r.most = math.Min(r.least, float64(v)), math.Max(r.most, float64(v))
		}
	}
	return r
}

func (s scale) ticks() []int64 {
	var out []int64
	for v := s.least; v <= s.most+s.step/2; v += s.step {
		out = append(out, int64(v))
	}
	return out
}

// at is the place of a value between nought and one.
func (s scale) at(v int64) float64 { return (float64(v) - s.least) / (s.most - s.least) }
