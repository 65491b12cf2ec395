package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Client talks to one installation. It is safe for concurrent use.
type Client struct {
	ingest, views *url.URL
	authorization []string
	transport     http.RoundTripper
	attempts      int
	timeout       time.Duration
	wait          func(ctx context.Context, d time.Duration) error
	retries       atomic.Int64
}

// Option changes a client.
type Option func(*Client)

// WithTransport sends requests through t instead of a transport of its own.
func WithTransport(t http.RoundTripper) Option { return func(c *Client) { c.transport = t } }

// WithAttempts sets how often a request is sent at most (5). 1 means that nothing
// is repeated.
func WithAttempts(n int) Option { return func(c *Client) { c.attempts = max(1, n) } }

// WithTimeout bounds one attempt (30 s). The whole is bounded by the context.
func WithTimeout(d time.Duration) Option { return func(c *Client) { c.timeout = d } }

// New returns a client of the front door at ingestURL and of the look-ups at
// viewsURL, either of which may be empty when it is not used.
func New(ingestURL, viewsURL, apiKey string, options ...Option) (*Client, error) {
	ingest, err := parseBase(ingestURL)
	if err != nil {
		return nil, fmt.Errorf("front door: %w", err)
	}
	views, err := parseBase(viewsURL)
	if err != nil {
		return nil, fmt.Errorf("look-ups: %w", err)
	}
	c := &Client{
		ingest: ingest, views: views, authorization: []string{"Bearer " + apiKey},
		attempts: 5, timeout: 30 * time.Second, wait: wait,
	}
	for _, o := range options {
		o(c)
	}
	if c.transport == nil {
		c.transport = newTransport()
	}
	return c, nil
}

func parseBase(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the URL %q must start with http:// or https://", text)
	}
	return u, nil
}

// newTransport keeps as many connections as there are requests at a time, so that
// a load of thousands a second does not open one for each.
func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConns:        0, // no bound
		MaxIdleConnsPerHost: 4096,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}
}

// Retries is how many requests were repeated so far.
func (c *Client) Retries() int64 { return c.retries.Load() }

// Close closes idle connections.
func (c *Client) Close() {
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

var errNoServer = errors.New("the client was made without the URL that this call needs")

// request is what is sent, once or more often.
type request struct {
	method string
	base   *url.URL
	// path is escaped already.
	path, query string
	key         string
	body        []byte
}

// do sends a request until it is answered for good, and returns the body of a 2xx.
func (c *Client) do(ctx context.Context, r *request) ([]byte, error) {
	if r.base == nil {
		return nil, errNoServer
	}
	for attempt := 1; ; attempt++ {
		body, err := c.once(ctx, r)
		if err == nil {
			return body, nil
		}
		pause, again := retryable(err, attempt)
		if !again || attempt >= c.attempts || ctx.Err() != nil {
			return nil, err
		}
		if c.wait(ctx, pause) != nil {
			return nil, err
		}
		c.retries.Add(1)
	}
}

// retryable reports whether repeating the request may help, and after what time.
func retryable(err error, attempt int) (time.Duration, bool) {
	backoff := min(50*time.Millisecond<<min(attempt, 10), 5*time.Second)
	var e *Error
	if !errors.As(err, &e) {
		return backoff, true // the connection broke; the key makes it safe
	}
	switch {
	case e.RetryAfter > 0:
		return e.RetryAfter, true
	case e.Status == http.StatusTooManyRequests, e.Status == http.StatusServiceUnavailable,
		e.Status == http.StatusBadGateway, e.Status == http.StatusGatewayTimeout:
		return backoff, true
	}
	return 0, false
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answerBytesMax bounds what is read of an answer.
const answerBytesMax = 4 << 20

func (c *Client) once(ctx context.Context, r *request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	res, err := c.transport.RoundTrip(c.build(r).WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	// Read to the end, so that the connection is used again.
	defer func() { _ = res.Body.Close() }()
	body, err := readAnswer(res)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %s: read the answer: %w", r.method, r.path, err)
	case res.StatusCode >= 300:
		return nil, newError(res, body)
	}
	return body, nil
}

func readAnswer(res *http.Response) ([]byte, error) {
	if n := res.ContentLength; n > 0 && n <= answerBytesMax {
		body := make([]byte, n)
		_, err := io.ReadFull(res.Body, body)
		return body, err
	}
	return io.ReadAll(io.LimitReader(res.Body, answerBytesMax))
}

var (
	jsonType   = []string{"application/json"}
	ndjsonType = []string{"application/x-ndjson"}
	// agent replaces net/http's own.
	agent = []string{"boxoffice-client"}
)

// build makes the request by hand: parsing the URL again for each would cost more
// than encoding the body.
func (c *Client) build(r *request) *http.Request {
	u := *r.base
	u.Path += r.path
	u.RawQuery = r.query
	h := make(http.Header, 4)
	h["Authorization"] = c.authorization
	h["User-Agent"] = agent
	if r.key != "" {
		h["Idempotency-Key"] = []string{r.key}
	}
	req := &http.Request{
		Method: r.method, URL: &u, Host: u.Host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if r.body != nil {
		h["Content-Type"] = jsonType
		setBody(req, r.body)
	}
	return req
}
