package clickhouse

import (
	"io"
	"net/http"
)

// countingTransport tells how many bytes of request bodies were sent.
type countingTransport struct {
	next http.RoundTripper
	sent func(int)
}

func (t countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		// A RoundTripper must not change the request that it is given.
		r = r.Clone(r.Context())
		r.Body = countingBody{ReadCloser: r.Body, sent: t.sent}
	}
	return t.next.RoundTrip(r)
}

type countingBody struct {
	io.ReadCloser
	sent func(int)
}

func (b countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.sent(n)
	return n, err
}
