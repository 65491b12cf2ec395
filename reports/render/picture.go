package render

import (
	"github.com/eventpro/boxoffice/reports/statement"
)

// picture is a drawn chart, for a page as for paper: y grows downwards.
type picture struct {
	Title         string
	Width, Height float64
	Rects         []rectangle
	Lines         []line
	Curves        []curve
	Texts         []label
	Legend        []legend
}

type rectangle struct {
	X, Y, Width, Height float64
	Series              int
	Title               string
}

type line struct {
	X1, Y1, X2, Y2 float64
	Axis           bool
}

type curve struct {
	Points []dot
	Series int
}

type dot struct {
	X, Y  float64
	Title string
}

type label struct {
	X, Y float64
	// Anchor is start, middle or end.
	Anchor, Text string
}

type legend struct {
	Series int
	Name   string
}

// The measures of pictures, in their own units; texts are 11 high.
const (
	pictureWidth = 1080
	plotHeight   = 260
	barHeight    = 16
	textHeight   = 11
	letter       = 6.1 // a letter's width, more or less
)

// draw makes the picture of a graph, so many units wide.
func (w writer) draw(g graph, wide float64) picture {
	p := picture{Title: g.title, Width: wide}
	if len(g.names) > 1 {
		for i, name := range g.names {
			p.Legend = append(p.Legend, legend{Series: i, Name: name})
		}
	}
	if g.shape == statement.Bars && !g.days {
		w.drawAcross(g, &p)
	} else {
		w.drawUpright(g, &p)
	}
	return p
}

// drawAcross draws bars to the right, so that long names can be read.
func (w writer) drawAcross(g graph, p *picture) {
	const longest = 48
	left, right, top := 0.0, 0.0, 6.0
	for i, text := range g.labels {
		left = max(left, float64(columnsWide(cut(text, longest)))*letter)
		for s := range g.values {
			right = max(right, float64(len(w.figure(g, g.values[s][i])))*letter)
		}
	}
	left, right = left+12, right+12
	axis := rangeOf(g)
	wide := p.Width - left - right
	zero := left + axis.at(0)*wide
	step := float64(len(g.values))*barHeight + 8
	for i, text := range g.labels {
		y := top + float64(i)*step
		p.Texts = append(p.Texts, label{X: left - 8, Y: y + (step-8)/2 + textHeight/2 - 1.5, Anchor: "end", Text: cut(text, longest)})
		for s := range g.values {
			v := g.values[s][i]
			x, end := zero, left+axis.at(v)*wide
			if end < x {
				x, end = end, x
			}
			at := y + float64(s)*barHeight
			shown := w.figure(g, v)
			p.Rects = append(p.Rects, rectangle{X: x, Y: at + 1, Width: end - x, Height: barHeight - 2, Series: s, Title: text + ": " + shown})
			p.Texts = append(p.Texts, label{X: end + 5, Y: at + barHeight/2 + textHeight/2 - 1.5, Anchor: "start", Text: shown})
		}
	}
	p.Height = top + float64(len(g.labels))*step
	p.Lines = append(p.Lines, line{X1: zero, Y1: 0, X2: zero, Y2: p.Height, Axis: true})
}

// drawUpright draws columns or lines over days or over texts in their order.
func (w writer) drawUpright(g graph, p *picture) {
	axis := scaleOf(g, 4)
	left, top := 0.0, 10.0
	texts := w.tickTexts(g, axis)
	for _, text := range texts {
		left = max(left, float64(len([]rune(text)))*letter+10)
	}
	wide, bottom := p.Width-left-14, top+plotHeight
	height := func(v int64) float64 { return bottom - axis.at(v)*plotHeight }
	for i, v := range axis.ticks() {
		p.Lines = append(p.Lines, line{X1: left, Y1: height(v), X2: left + wide, Y2: height(v), Axis: v == 0})
		p.Texts = append(p.Texts, label{X: left - 8, Y: height(v) + textHeight/2 - 1.5, Anchor: "end", Text: texts[i]})
	}
	n := len(g.labels)
	slot := wide / float64(n)
	for s, values := range g.values {
		if g.shape == statement.Lines {
			c := curve{Series: s}
			for i, v := range values {
				c.Points = append(c.Points, dot{X: left + (float64(i)+0.5)*slot, Y: height(v), Title: g.labels[i] + ", " + g.names[s] + ": " + w.figure(g, v)})
			}
			p.Curves = append(p.Curves, c)
			continue
		}
		bar := slot * 0.8 / float64(len(g.values))
		for i, v := range values {
			y, end := height(v), height(0)
			if y > end {
				y, end = end, y
			}
			p.Rects = append(p.Rects, rectangle{
				X: left + float64(i)*slot + slot*0.1 + float64(s)*bar, Y: y, Width: bar, Height: end - y, Series: s,
				Title: g.labels[i] + ", " + g.names[s] + ": " + w.figure(g, v),
			})
		}
	}
	every := 1
	for float64(every)*slot < longestOf(g.labels)*letter+14 {
		every++
	}
	for i := 0; i < n; i += every {
		p.Texts = append(p.Texts, label{X: left + (float64(i)+0.5)*slot, Y: bottom + 16, Anchor: "middle", Text: cut(g.labels[i], 24)})
	}
	p.Height = bottom + 22
}

func longestOf(labels []string) float64 {
	longest := 0
	for _, text := range labels {
		longest = max(longest, columnsWide(cut(text, 24)))
	}
	return float64(longest)
}

// tickTexts are the figures along an axis, without a fraction when all are whole.
func (w writer) tickTexts(g graph, axis scale) []string {
	var texts []string
	whole := true
	for _, v := range axis.ticks() {
		texts = append(texts, w.figure(g, v))
		whole = whole && (g.kind != statement.Money || isWhole(v, g.currency))
	}
	if g.kind != statement.Money || !whole {
		return texts
	}
	for i, v := range axis.ticks() {
		texts[i] = w.Grouped(wholeOf(v, g.currency))
	}
	return texts
}
