package render

import (
	"io"
	"testing"
)

// How long a report of 400 rows and 13 columns takes in each format.
func BenchmarkFormats(b *testing.B) {
	r := long(b)
	for _, f := range Formats() {
		b.Run(f.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f.Write(io.Discard, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
