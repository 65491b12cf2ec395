package render

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/sfnt"

	"github.com/eventpro/boxoffice/reports/statement"
)

// paper is a PDF document that is being written: pages of A4, measured in
// millimetres, letters in points.
type paper struct {
	writer
	pdf    *fpdf.Fpdf
	faces  []typeface
	buffer sfnt.Buffer
	// width and height are the page's, y is how far down it is written.
	width, height, y float64
	orientation      string
	// widths remembers how wide texts are, at one point.
	widths map[letters]float64
	added  map[string]bool // fonts
}

// letters is a text as it is set.
type letters struct {
	text string
	size float64
	bold bool
}

type colour [3]int

// The measures and colours of the page.
const (
	marginSide, marginTop, marginBottom = 13.0, 24.0, 16.0
	pt                                  = 25.4 / 72
	leading                             = 1.32
)

var (
	ink     = colour{26, 36, 51}
	faint   = colour{91, 103, 120}
	strong  = colour{31, 58, 95}
	red     = colour{179, 38, 30}
	white   = colour{255, 255, 255}
	panel   = colour{245, 247, 250}
	stripe  = colour{249, 250, 252}
	hair    = colour{223, 228, 234}
	palette = []colour{{0, 114, 178}, {213, 94, 0}, {0, 158, 115}, {170, 111, 158}, {184, 134, 11}, {86, 180, 233}}
	dashes  = [][]float64{{}, {1.9, 1.3}, {0.5, 1.3}, {3, 1.3, 0.5, 1.3}, {3, 1.3}, {1, 0.8}}
)

func newPaper(r *statement.Report) (*paper, error) {
	faces, err := typefaces()
	if err != nil {
		return nil, err
	}
	p := &paper{writer: newWriter(r), faces: faces, orientation: "P", width: 210, height: 297, widths: map[letters]float64{}, added: map[string]bool{}}
	p.pdf = fpdf.New("P", "mm", "A4", "")
	p.pdf.SetAutoPageBreak(false, 0)
	p.pdf.SetCatalogSort(true)
	p.pdf.SetCreationDate(r.AsOf.UTC())
	p.pdf.SetModificationDate(r.AsOf.UTC())
	p.pdf.SetLang("en")
	p.pdf.SetTitle(r.Title, true)
	p.pdf.SetSubject(strings.Join(p.parameters(), ", "), true)
	p.pdf.SetKeywords(r.Name+" "+r.ID.String(), true)
	p.pdf.SetCreator("boxoffice", true)
	p.add(faces[0].family, "", notoRegular)
	p.add(faces[0].family, "B", notoBold)
	return p, p.pdf.Error()
}

// turn lays the pages across.
func (p *paper) turn() {
	p.orientation, p.width, p.height = "L", p.height, p.width
}

// add adds a font, once. fpdf gets a copy: it writes into the bytes of a font while it
// cuts out the letters that are used, and other papers are written at the same time.
func (p *paper) add(family, style string, font []byte) {
	if name := family + style; !p.added[name] {
		p.added[name] = true
		p.pdf.AddUTF8FontFromBytes(family, style, bytes.Clone(font))
	}
}

// use chooses the font of a run. The fallbacks are large and are read only when a
// text needs them; they have no bold.
func (p *paper) use(face int, l letters) {
	style := ""
	if l.bold && face == 0 {
		style = "B"
	}
	if face > 0 {
		p.add(p.faces[face].family, "", p.faces[face].bytes)
	}
	p.pdf.SetFont(p.faces[face].family, style, l.size)
}

// wide is how wide a text is.
func (p *paper) wide(l letters) float64 {
	key := letters{l.text, 1, l.bold}
	w, ok := p.widths[key]
	if !ok {
		for _, r := range p.runs(l.text) {
			p.use(r.face, key)
			w += p.pdf.GetStringWidth(r.text)
		}
		p.widths[key] = w
	}
	return w * l.size
}

// text writes on a baseline; align is one of start, middle and end.
func (p *paper) text(x, y float64, align string, c colour, l letters) {
	switch align {
	case "end":
		x -= p.wide(l)
	case "middle":
		x -= p.wide(l) / 2
	}
	p.pdf.SetTextColor(c[0], c[1], c[2])
	for _, r := range p.runs(l.text) {
		p.use(r.face, l)
		p.pdf.Text(x, y, r.text)
		x += p.pdf.GetStringWidth(r.text)
	}
}

// runs are the pieces of a text, in the order in which they stand.
func (p *paper) runs(s string) []run {
	if !strings.ContainsFunc(s, func(c rune) bool { return c >= utf8.RuneSelf }) {
		return []run{{text: s}}
	}
	return runs(p.faces, visual(s), &p.buffer)
}

func (p *paper) rect(x, y, w, h float64, c colour) {
	p.pdf.SetFillColor(c[0], c[1], c[2])
	p.pdf.Rect(x, y, w, h, "F")
}

func (p *paper) line(x1, y1, x2, y2, thick float64, c colour) {
	p.pdf.SetDrawColor(c[0], c[1], c[2])
	p.pdf.SetLineWidth(thick)
	p.pdf.Line(x1, y1, x2, y2)
}

// fold breaks a text into lines of a width, and cuts it after the most lines. A
// word that is too long for a line is broken.
func (p *paper) fold(l letters, width float64, most int) []string {
	if p.wide(l) <= width {
		return []string{l.text}
	}
	fits := func(s string) bool { return p.wide(letters{s, l.size, l.bold}) <= width }
	var lines []string
	current := ""
	for _, word := range strings.Fields(l.text) {
		if next := strings.TrimSpace(current + " " + word); fits(next) {
			current = next
			continue
		}
		if current != "" {
			lines, current = append(lines, current), ""
		}
		for _, c := range word {
			if current != "" && !fits(current+string(c)) {
				lines, current = append(lines, current), ""
			}
			current += string(c)
		}
	}
	if lines = append(lines, current); len(lines) <= most {
		return lines
	}
	last := []rune(lines[most-1])
	for len(last) > 0 && !fits(string(last)+"…") {
		last = last[:len(last)-1]
	}
	return append(lines[:most-1], string(last)+"…")
}

// paragraph writes a text over the width of the page.
func (p *paper) paragraph(size float64, c colour, s string) {
	for _, text := range p.fold(letters{s, size, false}, p.content(), 40) {
		p.room(size * pt * leading)
		p.y += size * pt * leading
		p.text(marginSide, p.y, "start", c, letters{text, size, false})
	}
}

// content is how wide the page is between its margins.
func (p *paper) content() float64 { return p.width - 2*marginSide }

// room begins a page if there is no room for a height. It says whether it did.
func (p *paper) room(height float64) bool {
	if p.y > 0 && p.y+height <= p.height-marginBottom {
		return false
	}
	p.pdf.AddPageFormat(p.orientation, p.pdf.GetPageSizeStr("A4"))
	p.y = marginTop
	return true
}

// frame writes on each page what report it belongs to.
func (p *paper) frame() {
	pages := p.pdf.PageCount()
	for n := 1; n <= pages; n++ {
		p.pdf.SetPage(n)
		const size = 7.5
		left := letters{p.Title, size, true}
		p.text(marginSide, 11, "start", strong, left)
		given := p.fold(letters{strings.Join(p.parameters(), ", "), size, false}, p.content()-p.wide(left)-10, 2)
		for i, text := range given {
			p.text(p.width-marginSide, 11+float64(i)*3.6, "end", faint, letters{text, size, false})
		}
		p.line(marginSide, 17, p.width-marginSide, 17, 0.2, hair)
		if p.Alarm != "" && n > 1 {
			p.text(marginSide, 14.8, "start", red, letters{p.fold(letters{printable(p.Alarm), size, true}, p.content()/2, 1)[0], size, true})
		}
		foot := p.height - 8
		p.line(marginSide, foot-4.5, p.width-marginSide, foot-4.5, 0.2, hair)
		p.text(marginSide, foot, "start", faint, letters{"Report " + p.Name + " " + p.ID.String() + ", " + p.asOf(), size, false})
		p.text(p.width-marginSide, foot, "end", faint, letters{"Page " + p.Grouped(int64(n)) + " of " + p.Grouped(int64(pages)), size, false})
	}
}
