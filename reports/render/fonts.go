package render

import (
	_ "embed"
	"sync"

	"golang.org/x/image/font/sfnt"
)

// The fonts of PDF files. Noto Sans has Latin, Greek and Cyrillic, and digits of
// one width; the others have what it lacks. Their licences are beside them.
var (
	//go:embed fonts/NotoSans-Regular.ttf
	notoRegular []byte
	//go:embed fonts/NotoSans-Bold.ttf
	notoBold []byte
	//go:embed fonts/DejaVuSans.ttf
	dejaVu []byte
	//go:embed fonts/DroidSansFallback.ttf
	droid []byte
	//go:embed fonts/BoxofficeHangul.ttf
	hangul []byte
)

// typeface is a font with the characters that it can write.
type typeface struct {
	family string
	bytes  []byte
	font   *sfnt.Font
}

// typefaces are the fonts in the order of preference, read when first needed.
var typefaces = sync.OnceValues(func() ([]typeface, error) {
	faces := []typeface{{family: "noto", bytes: notoRegular}, {family: "dejavu", bytes: dejaVu}, {family: "droid", bytes: droid}, {family: "hangul", bytes: hangul}}
	for i := range faces {
		var err error
		if faces[i].font, err = sfnt.Parse(faces[i].bytes); err != nil {
			return nil, err
		}
	}
	return faces, nil
})

// run is a piece of a text in one font.
type run struct {
	face int
	text string
}

// replacement stands for a character that no font has.
const replacement = '\uFFFD'

// runs cuts a text into pieces of which each has a font with all its characters.
func runs(faces []typeface, s string, buffer *sfnt.Buffer) []run {
	var out []run
	for _, c := range s {
		face := faceOf(faces, c, buffer)
		if face < 0 {
			face, c = 0, replacement
		}
		if n := len(out); n > 0 && out[n-1].face == face {
			out[n-1].text += string(c)
		} else {
			out = append(out, run{face, string(c)})
		}
	}
	return out
}

func faceOf(faces []typeface, c rune, buffer *sfnt.Buffer) int {
	if c > 0xFFFF {
		return -1 // PDF fonts are addressed with 16 bits here
	}
	for i, f := range faces {
		if glyph, err := f.font.GlyphIndex(buffer, c); err == nil && glyph != 0 {
			return i
		}
	}
	return -1
}
