package render

import (
	"bytes"
	"io"
	"strings"

	"github.com/eventpro/boxoffice/reports/statement"
)

// writePDF writes pages of A4, across when a table needs it. Every page says which
// report it belongs to.
func writePDF(out io.Writer, r *statement.Report) error {
	p, err := newPaper(r)
	if err != nil {
		return err
	}
	var tables []*paperTable
	across := false
	for _, s := range r.ForPeople() {
		t := p.measure(s)
		t.atSize(tableSize)
		across = across || t.over(p.content()) > 0
		tables = append(tables, t)
	}
	if across {
		p.turn()
	}
	p.opening()
	for _, t := range tables {
		p.section(t)
	}
	if len(r.Notes) > 0 {
		p.y += 4
	}
	for _, note := range r.Notes {
		p.paragraph(8, faint, note)
	}
	p.frame()
	var b bytes.Buffer
	if err := p.pdf.Output(&b); err != nil {
		return err
	}
	_, err = b.WriteTo(out)
	return err
}

// opening is the head of the first page.
func (p *paper) opening() {
	p.room(40)
	if p.Alarm != "" {
		lines := p.fold(letters{printable(p.Alarm), 10, true}, p.content()-8, 6)
		height := float64(len(lines))*10*pt*leading + 4
		p.rect(marginSide, p.y, p.content(), height, red)
		for i, text := range lines {
			p.text(marginSide+4, p.y+5.3+float64(i)*10*pt*leading, "start", white, letters{text, 10, true})
		}
		p.y += height + 3
	}
	p.y += 8
	for _, text := range p.fold(letters{p.Title, 20, true}, p.content(), 3) {
		p.text(marginSide, p.y, "start", ink, letters{text, 20, true})
		p.y += 20 * pt * leading
	}
	p.y -= 5
	given := p.parameters()
	p.paragraph(10, ink, given[0])
	if len(given) > 1 {
		p.paragraph(8.5, faint, strings.Join(given[1:], ", "))
	}
	p.paragraph(8.5, faint, p.asOf())
	p.y += 4
	p.cardRow()
}

// cardRow shows the most important totals, three or four currencies in a row.
func (p *paper) cardRow() {
	const gutter, pad, size = 4.0, 4.0, 8.5
	cards := p.cards()
	inRow := int(p.content() / 62)
	wide := (p.content() - gutter*float64(inRow-1)) / float64(inRow)
	for i := 0; i < len(cards); i += inRow {
		row := cards[i:min(i+inRow, len(cards))]
		most := 0
		for _, c := range row {
			most = max(most, len(c.Figures))
		}
		height := pad*2 + 3 + float64(most)*size*pt*1.5
		p.room(height + gutter)
		for n, c := range row {
			x, y := marginSide+float64(n)*(wide+gutter), p.y
			p.rect(x, y, wide, height, panel)
			p.rect(x, y, 0.8, height, strong)
			y += pad + 2
			p.text(x+pad, y, "start", faint, letters{c.Currency, 7.5, true})
			for k, f := range c.Figures {
				y += size * pt * 1.5
				tone := faint
				if k == 0 {
					tone = ink
				}
				p.text(x+pad, y, "start", tone, letters{p.fold(letters{f.Heading, size, k == 0}, wide/2-pad, 1)[0], size, k == 0})
				p.text(x+wide-pad, y, "end", ink, letters{f.Value, size, k == 0})
			}
		}
		p.y += height + gutter
	}
}

func (p *paper) section(t *paperTable) {
	const size = 13.0
	graphs := p.graphs(t.Section)
	if p.y > marginTop {
		p.y += 5
	}
	p.room(34)
	p.y += size * pt * leading
	p.text(marginSide, p.y, "start", ink, letters{t.Title, size, true})
	p.y += 3
	for _, g := range graphs {
		p.picture(p.draw(g, p.content()/perUnit))
	}
	if len(t.Rows) == 0 {
		p.room(12)
		p.rect(marginSide, p.y, p.content(), 11, panel)
		p.text(p.width/2, p.y+6.7, "middle", faint, letters{p.empty(t.Section), 9, false})
		p.y += 12
	} else {
		p.table(t)
	}
	for _, note := range t.Notes {
		p.y++
		p.paragraph(8, faint, note)
	}
}

// perUnit is the length of a picture's unit: its texts become 7.5 points high.
const perUnit = 7.5 * pt / textHeight

func (p *paper) picture(pic picture) {
	const size = 9.0
	height := pic.Height*perUnit + size*pt*leading + 8
	p.room(height)
	p.y += size * pt * leading
	title := letters{pic.Title, size, true}
	p.text(marginSide, p.y, "start", ink, title)
	x := marginSide + p.wide(title) + 6
	for _, l := range pic.Legend {
		if len(pic.Curves) > 0 {
			p.curve([]dot{{X: x, Y: p.y - 1}, {X: x + 6, Y: p.y - 1}}, l.Series)
		} else {
			p.rect(x+3.2, p.y-2.2, 2.6, 2.6, palette[l.Series%len(palette)])
		}
		name := letters{l.Name, 8, false}
		p.text(x+7.5, p.y, "start", faint, name)
		x += 7.5 + p.wide(name) + 5
	}
	p.y += 3
	at := func(x, y float64) (float64, float64) { return marginSide + x*perUnit, p.y + y*perUnit }
	for _, l := range pic.Lines {
		x1, y1 := at(l.X1, l.Y1)
		x2, y2 := at(l.X2, l.Y2)
		tone := hair
		if l.Axis {
			tone = faint
		}
		p.line(x1, y1, x2, y2, 0.2, tone)
	}
	for _, r := range pic.Rects {
		x, y := at(r.X, r.Y)
		p.rect(x, y, r.Width*perUnit, r.Height*perUnit, palette[r.Series%len(palette)])
	}
	for _, c := range pic.Curves {
		points := make([]dot, 0, len(c.Points))
		for _, d := range c.Points {
			x, y := at(d.X, d.Y)
			points = append(points, dot{X: x, Y: y})
		}
		p.curve(points, c.Series)
		tone := palette[c.Series%len(palette)]
		p.pdf.SetFillColor(tone[0], tone[1], tone[2])
		if len(c.Dots()) > 0 {
			for _, d := range points {
				p.pdf.Circle(d.X, d.Y, 0.75, "F")
			}
		}
	}
	for _, l := range pic.Texts {
		x, y := at(l.X, l.Y)
		p.text(x, y, l.Anchor, faint, letters{l.Text, 7.5, false})
	}
	p.y += pic.Height*perUnit + 4
}

func (p *paper) curve(points []dot, series int) {
	tone := palette[series%len(palette)]
	p.pdf.SetDrawColor(tone[0], tone[1], tone[2])
	p.pdf.SetLineWidth(0.6)
	p.pdf.SetLineJoinStyle("round")
	p.pdf.SetDashPattern(dashes[series%len(dashes)], 0)
	for i, d := range points {
		if i == 0 {
			p.pdf.MoveTo(d.X, d.Y)
		} else {
			p.pdf.LineTo(d.X, d.Y)
		}
	}
	p.pdf.DrawPath("D")
	p.pdf.SetDashPattern(nil, 0)
}
