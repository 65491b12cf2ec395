package schedule

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/pressly/goose/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/internal/embedded/clickhouse/clickhousetest"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
	"github.com/eventpro/boxoffice/sinks/clickhouse/migrations"
)

// engine is the URL of the embedded ClickHouse.
var engine string

func TestMain(m *testing.M) {
	os.Exit(clickhousetest.Main(m, func(url string) error {
		engine = url
		return nil
	}))
}

// mailServer is a real SMTP server that keeps what it takes.
type mailServer struct {
	port  int
	caPEM []byte

	mu      sync.Mutex
	refuse  error
	hangUp  bool // right after a mail was taken
	letters []received
	tries   int
	user    string // of the last who signed in
}

// received is one mail with its envelope.
type received struct {
	from    string
	to      []string
	content []byte
}

const password = "correct horse"

// startMail starts a server on which clients sign in; protected by TLS if it is
// wanted.
func startMail(t *testing.T, protected bool) *mailServer {
	t.Helper()
	s := &mailServer{}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{server: s, conn: c}, nil }))
	server.Domain = "localhost"
	server.ErrorLog = discard{}
	if protected {
		certificate, ca := selfSigned(t)
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
		s.caPEM = ca
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = errors.Join(server.Close(), l.Close()) // the server may not have begun to listen yet
		<-served
	})
	return s
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

func selfSigned(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func (s *mailServer) refuses(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

func (s *mailServer) received() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.letters...)
}

// session is one conversation.
type session struct {
	server *mailServer
	conn   *smtp.Conn
	letter received
	taken  bool
}

func (*session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, given string) error {
		if given != password {
			return errors.New("wrong password")
		}
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		s.server.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.letter.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.letter.to = append(s.letter.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.letter.content = content
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.tries++
	if s.server.refuse != nil {
		return s.server.refuse
	}
	s.server.letters = append(s.server.letters, s.letter)
	s.taken = true
	return nil
}

// Reset comes after the answer to a mail.
func (s *session) Reset() {
	s.letter = received{}
	if s.taken && s.server.hangUp {
		_ = s.conn.Conn().Close()
	}
}

func (*session) Logout() error { return nil }

// header is one of the mail's header fields, decoded.
func (r received) header(t *testing.T, name string) string {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(r.content))
	if err != nil {
		t.Fatal(err)
	}
	return m.Header.Get(name)
}

// bench is a scheduler with its surroundings.
type bench struct {
	*Scheduler
	dir      string
	db       *sql.DB
	now      time.Time
	registry *prometheus.Registry
	log      bytes.Buffer
	file     string
}

var databases atomic.Int64

// newDB is a database with one sale on the 5th of September 2026, loaded up to a
// moment.
func newDB(t *testing.T, loaded time.Time) *sql.DB {
	t.Helper()
	name := fmt.Sprintf("schedule_%d", databases.Add(1))
	admin, err := clickhouse.OpenDB(engine, "default")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	db, err := clickhouse.OpenDB(engine, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	p, err := goose.NewProvider(goose.DialectClickHouse, db, migrations.FS)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO movements (movement_id, line, kind, event_id, organiser, amount_minor, fee_minor, currency, quantity, occurred_at, booked_at, version)
		SELECT '00000000-0000-0000-0000-000000000001', 1, 'charge', '00000000-0000-0000-0000-00000000000a', 'eventpro', 123450, 1753, 'EUR', 2,
		'2026-09-05 12:00:00', '2026-09-05 12:00:01', 1`); err != nil {
		t.Fatal(err)
	}
	load(t, db, loaded)
	return db
}

// load brings a record of a moment into the database.
func load(t *testing.T, db *sql.DB, at time.Time) {
	t.Helper()
	if _, err := db.Exec("INSERT INTO events (topic, partition, offset, time) VALUES ('payment-events', 0, ?, ?)", at.UnixMilli(), at); err != nil {
		t.Fatal(err)
	}
}

// newBench writes a file of schedules and opens it. In it, DIR is the folder of
// the test and PORT the server's.
func newBench(t *testing.T, db *sql.DB, server *mailServer, now, file string) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), db: db, now: at(t, now)}
	if server != nil {
		file = strings.ReplaceAll(file, "PORT", fmt.Sprint(server.port))
		if err := os.WriteFile(filepath.Join(b.dir, "ca.pem"), server.caPEM, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.file = filepath.Join(b.dir, "schedules.yaml")
	if err := os.WriteFile(b.file, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	return b
}

// open starts the scheduler, again if it was closed.
func (b *bench) open(t *testing.T) {
	t.Helper()
	config, err := Load(b.file, func(name string) string {
		if name == "SMTP_PASSWORD" {
			return password
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	b.registry = prometheus.NewRegistry()
	b.Scheduler, err = Open(Options{
		Config: config, State: filepath.Join(b.dir, "state.json"), DB: b.db, Registerer: b.registry,
		Logger: slog.New(slog.NewTextHandler(&b.log, nil)), Clock: func() time.Time { return b.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
}

// restart is what a kill and a start leave: the state file.
func (b *bench) restart(t *testing.T) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b.open(t)
}

// step moves the clock to a moment and has what is due made.
func (b *bench) step(t *testing.T, now string) (wake time.Time) {
	t.Helper()
	b.now = at(t, now)
	wake, err := b.Step(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return wake
}

// files are the names in a folder of the test.
func (b *bench) files(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(b.dir, folder))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// runs is the count of runs with a result.
func (b *bench) runs(t *testing.T, schedule, result string) (n int) {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if f.GetName() == "boxoffice_report_schedule_runs_total" && labels["schedule"] == schedule && labels["result"] == result {
				n = int(m.GetCounter().GetValue())
			}
		}
	}
	return n
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}
