package clickhouse

import (
	"context"
	"crypto/tls"
	"io"
	"net"

	ch "github.com/ClickHouse/clickhouse-go/v2"
)

// countingDial dials as clickhouse-go would and tells how many bytes go out, whatever
// protocol they are of. Under TLS they are counted as they are on the wire.
func countingDial(o *ch.Options, sent func(int)) func(context.Context, string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: o.DialTimeout}
	return func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		counted := countingConn{TCPConn: conn.(*net.TCPConn), sent: sent}
		if o.Protocol != ch.Native || o.TLS == nil {
			return counted, nil // over HTTP the transport speaks TLS itself
		}
		return secured(ctx, counted, addr, o.TLS)
	}
}

// secured speaks TLS on a connection; clickhouse-go leaves that to whoever dials.
func secured(ctx context.Context, conn net.Conn, addr string, config *tls.Config) (net.Conn, error) {
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			_ = conn.Close() // the address is what is wrong
			return nil, err
		}
		config = config.Clone()
		config.ServerName = host
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // the handshake's error tells more
		return nil, err
	}
	return secure, nil
}

// countingConn is a TCP connection, so that clickhouse-go can still look whether the
// server has closed it.
type countingConn struct {
	*net.TCPConn
	sent func(int)
}

func (c countingConn) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	c.sent(n)
	return n, err
}

// ReadFrom is another way of writing.
func (c countingConn) ReadFrom(r io.Reader) (int64, error) {
	n, err := c.TCPConn.ReadFrom(r)
	c.sent(int(n))
	return n, err
}
