package views

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// nowhere is a ResponseWriter that costs nothing.
type nowhere struct{ header http.Header }

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (w *nowhere) WriteHeader(int)             {}

// What a look-up costs beyond net/http (and beyond the table's own Get): the
// route, the key's check, the answer, its JSON, the count.
func BenchmarkLookup(b *testing.B) {
	bench := newBench(b)
	for name, path := range paths() {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
			r.Header.Set("Authorization", "Bearer "+ownKey)
			w := &nowhere{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				bench.server.ServeHTTP(w, r)
			}
		})
	}
}
