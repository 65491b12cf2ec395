package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/eventpro/boxoffice/internal/embedded/ports"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// wire is the network before the brokers: it reads the requests that pass, cuts
// connections before or after a broker has acted, and keeps answers back.
// What a broker answers by itself is injected with kfake's faults.
type wire struct {
	mu    sync.Mutex
	cuts  []*cut
	conns map[*wiredConn]struct{}
	gone  map[string]int // by address of a broker that is away: how many connections it has refused
}

// act is what becomes of a request.
type act int

const (
	unsent     act = iota // the connection is cut before the broker has the request
	unanswered            // the broker has acted, and the connection is cut instead of the answer
	hanging               // the broker has acted, and no answer ever comes on this connection
)

// cut is a fault of the wire.
type cut struct {
	key   kmsg.Key
	act   act
	times int
	when  func(kmsg.Request) bool
	hits  atomic.Int64
}

func newWire() *wire { return &wire{conns: map[*wiredConn]struct{}{}, gone: map[string]int{}} }

// cut installs a fault for the next requests of a key that satisfy when (nil:
// all), as many as times.
func (w *wire) cut(key kmsg.Key, what act, times int, when func(kmsg.Request) bool) hits {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &cut{key: key, act: what, times: times, when: when}
	w.cuts = append(w.cuts, c)
	return func() int { return int(c.hits.Load()) }
}

// away closes a broker's connections and accepts no more until it is back.
// It returns how many connections that were.
func (w *wire) away(address string) (closed int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone[address] = 0
	for c := range w.conns {
		if c.LocalAddr().String() == address {
			_ = c.Conn.Close()
			closed++
		}
	}
	return closed
}

func (w *wire) back(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.gone, address)
}

// refused returns how many connections to a broker that is away were refused.
func (w *wire) refused(address string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gone[address]
}

// meets returns the cut that a request runs into, nil for none.
func (w *wire) meets(req kmsg.Request) *cut {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.cuts {
		if c.times > 0 && int16(c.key) == req.Key() && (c.when == nil || c.when(req)) {
			c.times--
			c.hits.Add(1)
			return c
		}
	}
	return nil
}

// listen is kfake's net.Listen. A broker that goes away finds its port free when it
// comes back.
func (w *wire) listen(network, address string) (net.Listener, error) {
	if host, port, err := net.SplitHostPort(address); err == nil && port == "0" {
		steady, err := ports.Steady(1)
		if err != nil {
			return nil, err
		}
		address = net.JoinHostPort(host, strconv.Itoa(steady[0]))
	}
	l, err := net.Listen(network, address)
	return wiredListener{l, w}, err
}

type wiredListener struct {
	net.Listener
	w *wire
}

func (l wiredListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		wired := &wiredConn{Conn: c, w: l.w, lost: map[int32]act{}}
		l.w.mu.Lock()
		address := c.LocalAddr().String()
		_, gone := l.w.gone[address]
		if gone {
			l.w.gone[address]++
		} else {
			l.w.conns[wired] = struct{}{}
		}
		l.w.mu.Unlock()
		if !gone {
			return wired, nil
		}
		_ = c.Close()
	}
}

// wiredConn is the broker's end of a connection.
type wiredConn struct {
	net.Conn
	w      *wire
	unread []byte // of the request that the broker reads; its reader's
	silent atomic.Bool

	mu   sync.Mutex
	lost map[int32]act // by correlation id: answers that will not arrive
}

func (c *wiredConn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

// next reads a request and says what becomes of it.
func (c *wiredConn) next() error {
	frame := make([]byte, 4)
	if _, err := io.ReadFull(c.Conn, frame); err != nil {
		return err
	}
	frame = append(frame, make([]byte, binary.BigEndian.Uint32(frame))...)
	if _, err := io.ReadFull(c.Conn, frame[4:]); err != nil {
		return err
	}
	req, id, err := parse(frame[4:])
	if err != nil {
		return err
	}
	if met := c.w.meets(req); met != nil {
		if met.act == unsent {
			return errors.Join(net.ErrClosed, c.Conn.Close())
		}
		c.mu.Lock()
		c.lost[id] = met.act
		c.mu.Unlock()
	}
	c.unread = frame
	return nil
}

func parse(body []byte) (req kmsg.Request, correlation int32, err error) {
	r := kbin.Reader{Src: body}
	key, version, correlation := r.Int16(), r.Int16(), r.Int32()
	r.NullableString() // the client's name
	if req = kmsg.RequestForKey(key); req == nil {
		return nil, 0, fmt.Errorf("unknown request %d", key)
	}
	req.SetVersion(version)
	if req.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	return req, correlation, req.ReadFrom(r.Src)
}

// Write gets one whole answer.
func (c *wiredConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	how, lost := c.lost[int32(binary.BigEndian.Uint32(p[4:]))]
	c.mu.Unlock()
	switch {
	case lost && how == unanswered:
		return 0, errors.Join(net.ErrClosed, c.Conn.Close())
	case lost:
		c.silent.Store(true)
	}
	if c.silent.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *wiredConn) Close() error {
	c.w.mu.Lock()
	delete(c.w.conns, c)
	c.w.mu.Unlock()
	return c.Conn.Close()
}
