package render

import (
	"bytes"
	_ "embed"
	"html/template"
	"io"

	"github.com/eventpro/boxoffice/reports/statement"
)

//go:embed page.html.tmpl
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{"at": coordinate, "class": class}).Parse(pageText))

// class is the style of a cell: a figure, nought, a text that may wrap, or what
// must stay in a line.
func class(c statement.Column, cell string) string {
	switch {
	case c.Numeric() && isNought(cell):
		return "n z"
	case c.Numeric():
		return "n"
	case c.Kind == statement.Text:
		return "t"
	default:
		return "s"
	}
}

// htmlPage is what the template shows.
type htmlPage struct {
	*statement.Report
	Given []string
	When  string
	Cards []card
	Parts []htmlPart
}

// card has the most important totals of a currency.
type card struct {
	Currency string
	Figures  []cardFigure
}

type cardFigure struct{ Heading, Value string }

type htmlPart struct {
	*statement.Section
	Lines, Sums [][]string
	Nothing     string
	Pictures    []picture
}

// writeHTML writes one file that needs nothing else: no script, no font, no
// picture from elsewhere.
func writeHTML(out io.Writer, r *statement.Report) error {
	w := newWriter(r)
	p := htmlPage{Report: r, Given: w.parameters(), When: w.asOf(), Cards: w.cards()}
	for _, s := range r.ForPeople() {
		part := htmlPart{Section: s, Nothing: w.empty(s)}
		part.Lines, part.Sums = w.lines(s)
		for _, g := range w.graphs(s) {
			part.Pictures = append(part.Pictures, w.draw(g, pictureWidth))
		}
		p.Parts = append(p.Parts, part)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, p); err != nil {
		return err
	}
	_, err := b.WriteTo(out)
	return err
}

// cards are the totals of the first section, money before all else. Many currencies are better read in
// the table.
func (w writer) cards() []card {
	const mostCurrencies, mostFigures = 6, 6
	if len(w.Sections) == 0 || len(w.Sections[0].Totals) > mostCurrencies {
		return nil
	}
	var cards []card
	s := w.Sections[0]
	for _, total := range s.Totals {
		c := card{Currency: total.Currency}
		var others []cardFigure
		for i, column := range s.Columns {
			n, ok := total.Cells[i].(int64)
			switch {
			case !ok || column.Hidden:
			case column.Kind == statement.Money:
				c.Figures = append(c.Figures, cardFigure{column.Heading, w.Money(n, total.Currency)})
			default:
				others = append(others, cardFigure{column.Heading, w.cell(column, total, i)})
			}
		}
		c.Figures = append(c.Figures, others...)
		c.Figures = c.Figures[:min(len(c.Figures), mostFigures)]
		cards = append(cards, c)
	}
	return cards
}
