package render

import "github.com/eventpro/boxoffice/reports/statement"

// tableSize is the size of letters in tables, leastSize the smallest that a wide
// table may have.
const tableSize, leastSize = 8.5, 3.5

const cellPad = 1.6

// paperTable is a table on paper.
type paperTable struct {
	*statement.Section
	rows, totals [][]string
	// natural are the widths of the columns' longest cells at tableSize.
	natural []float64
	// size and widths are those that fit.
	size   float64
	widths []float64
}

// measure makes a table of a section.
func (p *paper) measure(s *statement.Section) *paperTable {
	t := &paperTable{Section: s, natural: make([]float64, len(s.Columns))}
	t.rows, t.totals = p.lines(s)
	for i, c := range s.Columns {
		widest := p.wide(letters{c.Heading, tableSize, true})
		for _, line := range t.rows {
			widest = max(widest, p.wide(letters{line[i], tableSize, false}))
		}
		for _, line := range t.totals {
			widest = max(widest, p.wide(letters{line[i], tableSize, true}))
		}
		t.natural[i] = widest
	}
	return t
}

// mostText and leastText bound the width of a column of texts: longer ones are
// folded.
const mostText, leastText = 80.0, 22.0

// atSize chooses the size, and the widths that the columns would like to have.
func (t *paperTable) atSize(size float64) {
	t.size, t.widths = size, make([]float64, len(t.natural))
	for i, c := range t.Columns {
		t.widths[i] = t.natural[i]*size/tableSize + 2*cellPad
		if c.Kind == statement.Text {
			t.widths[i] = min(t.widths[i], mostText*size/tableSize)
		}
	}
}

// over is by how much the columns are wider than the page.
func (t *paperTable) over(content float64) float64 {
	over := -content
	for _, w := range t.widths {
		over += w
	}
	return over
}

// fit finds the size and the widths with which the table fits the page. Slightly
// smaller letters come first, then texts are folded, then the letters become
// small.
func (t *paperTable) fit(content float64) {
	const step, stillLarge = 0.5, 7.0
	for size := tableSize; size >= stillLarge; size -= step {
		t.atSize(size)
		if over := t.over(content); over <= 0 {
			t.spread(-over)
			return
		}
	}
	for size := tableSize; ; size -= step {
		t.atSize(size)
		if over := t.narrowTexts(t.over(content)); over <= tolerance || size <= leastSize {
			t.spread(-over)
			return
		}
	}
}

const tolerance = 0.01

// narrowTexts takes from the widest column of texts, bit by bit. It says how much
// the table is too wide still.
func (t *paperTable) narrowTexts(over float64) float64 {
	for over > tolerance {
		widest := -1
		for i, c := range t.Columns {
			if c.Kind == statement.Text && t.widths[i] > leastText && (widest < 0 || t.widths[i] > t.widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		take := min(over, t.widths[widest]-leastText, 2)
		t.widths[widest] -= take
		over -= take
	}
	return over
}

// spread gives the columns what is left of the page's width.
func (t *paperTable) spread(left float64) {
	for i := range t.widths {
		t.widths[i] += left / float64(len(t.widths)) // less, if the smallest letters are too large still
	}
}

func (p *paper) table(t *paperTable) {
	t.fit(p.content())
	p.room(2*t.size*pt*leading + 12)
	p.headings(t)
	for i, line := range t.rows {
		tone := white
		if i%2 == 1 {
			tone = stripe
		}
		p.row(t, p.folded(t, line, false), false, tone)
	}
	p.totals(t)
	p.line(marginSide, p.y, marginSide+p.content(), p.y, 0.2, hair)
	p.y += 2
}

// totals begins a page for the totals, if they are not many and would be torn.
func (p *paper) totals(t *paperTable) {
	height := 0.0
	var lines [][][]string
	for _, total := range t.totals {
		lines = append(lines, p.folded(t, total, true))
		height += t.height(lines[len(lines)-1])
	}
	if height < p.height/4 && len(lines) > 0 && p.room(height) {
		p.headings(t)
	}
	for i, cells := range lines {
		p.row(t, cells, true, panel)
		if i == 0 {
			top := p.y - t.height(cells)
			p.line(marginSide, top, marginSide+p.content(), top, 0.35, strong)
		}
	}
}

func (p *paper) headings(t *paperTable) {
	headings := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		headings[i] = c.Heading
	}
	cells := p.folded(t, headings, true)
	p.rect(marginSide, p.y, p.content(), t.height(cells), panel)
	p.cells(t, cells, true, strong)
	p.y += t.height(cells)
	p.line(marginSide, p.y, marginSide+p.content(), p.y, 0.45, strong)
}

func (p *paper) row(t *paperTable, cells [][]string, bold bool, tone colour) {
	height := t.height(cells)
	if p.room(height) {
		p.headings(t)
	}
	p.rect(marginSide, p.y, p.content(), height, tone)
	p.line(marginSide, p.y, marginSide+p.content(), p.y, 0.1, hair)
	p.cells(t, cells, bold, ink)
	p.y += height
}

const mostLines, linePad = 4, 0.9

// folded breaks the cells of a line to the widths of the columns.
func (p *paper) folded(t *paperTable, line []string, bold bool) [][]string {
	cells := make([][]string, len(line))
	for i, text := range line {
		cells[i] = p.fold(letters{text, t.size, bold}, t.widths[i]-2*cellPad+tolerance, mostLines)
	}
	return cells
}

func (t *paperTable) height(cells [][]string) float64 {
	longest := 1
	for _, texts := range cells {
		longest = max(longest, len(texts))
	}
	return float64(longest)*t.size*pt*leading + 2*linePad
}

func (p *paper) cells(t *paperTable, cells [][]string, bold bool, tone colour) {
	x := marginSide
	for i, texts := range cells {
		for n, text := range texts {
			y := p.y + linePad + (float64(n)+0.82)*t.size*pt*leading
			l := letters{text, t.size, bold}
			if t.Columns[i].Numeric() {
				p.text(x+t.widths[i]-cellPad, y, "end", weaker(tone, text), l)
			} else {
				p.text(x+cellPad, y, "start", tone, l)
			}
		}
		x += t.widths[i]
	}
}

// weaker is the colour of a figure: nought does not catch the eye.
func weaker(tone colour, figure string) colour {
	if isNought(figure) && tone == ink {
		return faint
	}
	return tone
}
