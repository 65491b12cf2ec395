package client

import (
	"bytes"
	"io"
	"net/http"
)

// setBody gives a request a body that the transport can send again on a new
// connection when an idle one turns out to be closed.
func setBody(req *http.Request, body []byte) {
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body = io.NopCloser(bytes.NewReader(body))
}
