package schedule

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// later is when everything that a test asks for has been loaded.
var later = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

const smtpSection = `
smtp: {host: 127.0.0.1, port: PORT, ca_file: ca.pem, from: Box office <reports@example.org>, user: reports, password_env: SMTP_PASSWORD}
`

const monthly = smtpSection + `
schedules:
  - name: month-end
    cron: 0 6 1 * *
    zone: Europe/Berlin
    reports:
      - {report: revenue, period: last-month, formats: [csv, json], organiser: eventpro, locale: de}
    deliver:
      - mail: {to: [anna@example.org], cc: [Ben <ben@example.org>]}
`

const daily = smtpSection + `
schedules:
  - name: daily
    cron: 0 6 * * *
    wait: 30m
    reports:
      - {report: revenue, period: yesterday, formats: [csv]}
    deliver:
      - directory: out
      - mail: {to: [anna@example.org], subject: Yesterday}
`

// part is one piece of a mail, decoded.
type part struct{ kind, name, body string }

// parts takes a mail apart.
func (r received) parts(t *testing.T) (out []part) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(r.content))
	if err != nil {
		t.Fatal(err)
	}
	var walk func(kind, disposition, encoding string, body io.Reader)
	walk = func(kind, disposition, encoding string, body io.Reader) {
		media, params, err := mime.ParseMediaType(kind)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(media, "multipart/") {
			for pieces := multipart.NewReader(body, params["boundary"]); ; {
				p, err := pieces.NextRawPart()
				if errors.Is(err, io.EOF) {
					return
				} else if err != nil {
					t.Fatal(err)
				}
				walk(p.Header.Get("Content-Type"), p.Header.Get("Content-Disposition"), p.Header.Get("Content-Transfer-Encoding"), p)
			}
		}
		switch encoding {
		case "base64":
			body = base64.NewDecoder(base64.StdEncoding, body)
		case "quoted-printable":
			body = quotedprintable.NewReader(body)
		}
		content, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		_, where, _ := mime.ParseMediaType(disposition)
		out = append(out, part{media, where["filename"], string(content)})
	}
	walk(m.Header.Get("Content-Type"), "", m.Header.Get("Content-Transfer-Encoding"), m.Body)
	return out
}

// At the first of the month at six in Berlin, and not before, last month's revenue
// comes as a mail with its totals in the text and the files attached, over TLS,
// from a client that signed in; the log does not know the password.
func TestMonthEndComesByMail(t *testing.T) {
	t.Parallel()
	server := startMail(t, true)
	b := newBench(t, newDB(t, later), server, "2026-09-15T12:00:00Z", monthly)
	if wake := b.step(t, "2026-09-15T12:00:00Z"); !wake.Equal(at(t, "2026-10-01T06:00:00+02:00")) {
		t.Errorf("it wakes at %v", wake)
	}
	b.step(t, "2026-10-01T05:59:59+02:00")
	if n := len(server.received()); n != 0 {
		t.Fatalf("%d mails before it was due", n)
	}
	b.step(t, "2026-10-01T06:00:00+02:00")
	letters := server.received()
	if len(letters) != 1 {
		t.Fatalf("%d mails, log: %s", len(letters), b.log.String())
	}
	got := letters[0]
	if got.from != "reports@example.org" || !slices.Equal(got.to, []string{"anna@example.org", "ben@example.org"}) || server.user != "reports" {
		t.Errorf("from %s to %v by %s", got.from, got.to, server.user)
	}
	if s := got.header(t, "Subject"); s != "Revenue by event and currency, 2026-09-01 to 2026-09-30" {
		t.Errorf("subject %q", s)
	}
	parts := got.parts(t)
	if len(parts) != 4 || parts[0].kind != "text/plain" || parts[1].kind != "text/html" || parts[2].kind != "text/csv" || parts[3].kind != "application/json" {
		t.Fatalf("parts %+v", parts)
	}
	for _, body := range parts[:2] {
		for _, want := range []string{"1.234,50", "17,53", "1.216,97", "organiser eventpro", parts[2].name, parts[3].name} {
			if !strings.Contains(body.body, want) {
				t.Errorf("%q is not in the %s:\n%s", want, body.kind, body.body)
			}
		}
	}
	if !strings.HasPrefix(parts[2].name, "revenue_from_2026-09-01_before_2026-10-01_de_as-of_") || !strings.Contains(parts[2].body, "1234.50") ||
		!strings.Contains(parts[3].body, `"gross_minor": 123450`) {
		t.Errorf("attachments %+v", parts[2:])
	}
	if strings.Contains(b.log.String(), password) || !strings.Contains(b.log.String(), "reports delivered") {
		t.Errorf("log: %s", b.log.String())
	}
	if n := b.runs(t, "month-end", resultDone); n != 1 {
		t.Errorf("%d runs are done", n)
	}
}

// Nothing ran for three days: one run is made for all of them, and says so; the
// next step, and a restart, make none again. It reports on the day before it was
// due, not on the day before it was made.
func TestMissedRunsAreMadeUpForOnce(t *testing.T) {
	t.Parallel()
	server := startMail(t, true)
	b := newBench(t, newDB(t, later), server, "2026-09-03T12:00:00Z", daily)
	b.step(t, "2026-09-03T12:00:00Z")
	if n := len(server.received()); n != 0 {
		t.Fatalf("a new schedule has sent %d mails about its past", n)
	}
	b.restart(t)
	b.step(t, "2026-09-07T01:00:00Z")
	b.step(t, "2026-09-07T01:01:00Z")
	b.restart(t)
	wake := b.step(t, "2026-09-07T01:02:00Z")
	letters := server.received()
	if len(letters) != 1 || len(b.files(t, "out")) != 1 {
		t.Fatalf("%d mails and the files %v", len(letters), b.files(t, "out"))
	}
	if body := letters[0].parts(t)[0].body; !strings.Contains(body, "2 earlier runs were missed") || !strings.Contains(body, "2026-09-05") || !strings.Contains(body, "1,234.50") {
		t.Errorf("it says\n%s", body)
	}
	if !wake.Equal(at(t, "2026-09-07T06:00:00Z")) {
		t.Errorf("it wakes at %v", wake)
	}
}

// The mail server refuses for a while: it is asked again after longer and longer
// pauses, also by another process, while the folder, which has its file, gets no
// second one. All tries carry one Message-ID.
func TestFailedMailIsTriedAgain(t *testing.T) {
	t.Parallel()
	server := startMail(t, true)
	b := newBench(t, newDB(t, later), server, "2026-09-05T12:00:00Z", daily)
	b.step(t, "2026-09-05T12:00:00Z")
	server.refuses(&smtp.SMTPError{Code: 451, Message: "try again later"})
	for _, c := range []struct {
		now, wake string
		tries     int
	}{
		{"2026-09-06T06:00:00Z", "2026-09-06T06:01:00Z", 1},
		{"2026-09-06T06:00:59Z", "2026-09-06T06:01:00Z", 1},
		{"2026-09-06T06:01:00Z", "2026-09-06T06:03:00Z", 2},
		{"2026-09-06T06:03:00Z", "2026-09-06T06:07:00Z", 3},
		{"2026-09-06T07:00:00Z", "2026-09-06T07:08:00Z", 4},
	} {
		if wake := b.step(t, c.now); !wake.Equal(at(t, c.wake)) || server.tries != c.tries {
			t.Errorf("at %s: it wakes at %v after %d tries, want %s after %d", c.now, wake, server.tries, c.wake, c.tries)
		}
	}
	if n := b.runs(t, "daily", resultFailed); n != 4 {
		t.Errorf("%d tries are counted as failed", n)
	}
	files := b.files(t, "out")
	if len(files) != 1 {
		t.Errorf("the folder has %v", files)
	}
	// What is made later is as of later: a second delivery would be a second file.
	load(t, b.db, later.Add(time.Hour))
	b.restart(t)
	server.refuses(nil)
	b.step(t, "2026-09-06T07:01:00Z")
	b.step(t, "2026-09-06T08:00:00Z")
	if letters := server.received(); len(letters) != 1 || letters[0].header(t, "Subject") != "Yesterday" {
		t.Errorf("%d mails came", len(letters))
	}
	if again := b.files(t, "out"); !slices.Equal(again, files) {
		t.Errorf("the folder has %v", again)
	}
}

// A run that fails until the next one is due is given up, counted and told of.
func TestGivenUpRunIsToldOf(t *testing.T) {
	t.Parallel()
	server := startMail(t, true)
	b := newBench(t, newDB(t, later), server, "2026-09-05T12:00:00Z", daily)
	b.step(t, "2026-09-05T12:00:00Z")
	server.refuses(&smtp.SMTPError{Code: 451, Message: "try again later"})
	for _, now := range []string{"2026-09-06T06:00:00Z", "2026-09-07T06:00:00Z", "2026-09-08T06:00:00Z"} {
		b.step(t, now)
	}
	server.refuses(nil)
	b.step(t, "2026-09-08T06:01:00Z")
	letters := server.received()
	if len(letters) != 1 || !strings.Contains(letters[0].parts(t)[0].body, "2 earlier runs were missed") {
		t.Errorf("%d mails: %+v", len(letters), letters)
	}
	if n := b.runs(t, "daily", resultMissed); n != 2 {
		t.Errorf("%d runs are counted as missed", n)
	}
}

// The program is killed after the server took the mail and before that is marked,
// here by a state folder that cannot be written to: the mail comes again, under the
// Message-ID by which it is known to be the same, and then no more.
func TestMailIsSentAgainWhenTheMarkIsLost(t *testing.T) {
	t.Parallel()
	server := startMail(t, true)
	b := newBench(t, newDB(t, later), server, "2026-09-15T12:00:00Z", monthly)
	b.step(t, "2026-09-15T12:00:00Z")
	path := b.state.path
	b.state.path = filepath.Join(b.dir, "gone", "state.json")
	b.now = at(t, "2026-10-01T06:00:00+02:00")
	if _, err := b.Step(t.Context()); !errors.Is(err, errState) {
		t.Fatalf("the mark was lost, and the error is %v", err)
	}
	b.state.path = path
	b.restart(t)
	b.step(t, "2026-10-01T06:01:00+02:00")
	b.step(t, "2026-10-01T06:02:00+02:00")
	letters := server.received()
	if len(letters) != 2 || letters[0].header(t, "Message-ID") != letters[1].header(t, "Message-ID") || letters[0].header(t, "Message-ID") == "" {
		t.Errorf("%d mails", len(letters))
	}
}

// The server takes the mail and hangs up without another word: the mail has come,
// so it is not sent again.
func TestHangingUpIsNoFailure(t *testing.T) {
	t.Parallel()
	server := startMail(t, true)
	server.hangUp = true
	b := newBench(t, newDB(t, later), server, "2026-09-15T12:00:00Z", monthly)
	b.step(t, "2026-09-15T12:00:00Z")
	b.step(t, "2026-10-01T06:00:00+02:00")
	b.step(t, "2026-10-01T06:05:00+02:00")
	if n := len(server.received()); n != 1 || b.runs(t, "month-end", resultDone) != 1 || b.runs(t, "month-end", resultFailed) != 0 {
		t.Errorf("%d mails, log: %s", n, b.log.String())
	}
}

// The database lags behind the end of the period: the run waits until it has it,
// and after the time that it may wait goes without and says so first.
func TestWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	for name, caughtUp := range map[string]bool{"caught up": true, "never": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startMail(t, true)
			b := newBench(t, newDB(t, at(t, "2026-09-05T23:59:00Z")), server, "2026-09-05T12:00:00Z", daily)
			b.step(t, "2026-09-05T12:00:00Z")
			if wake := b.step(t, "2026-09-06T06:00:00Z"); !wake.Equal(at(t, "2026-09-06T06:01:00Z")) {
				t.Errorf("it looks again at %v", wake)
			}
			b.step(t, "2026-09-06T06:29:00Z")
			if n := len(server.received()) + len(b.files(t, "out")); n != 0 {
				t.Fatalf("it did not wait")
			}
			if caughtUp {
				load(t, b.db, at(t, "2026-09-06T00:00:00Z"))
			}
			b.step(t, "2026-09-06T06:30:00Z")
			letters := server.received()
			if len(letters) != 1 {
				t.Fatalf("%d mails", len(letters))
			}
			subject, body := letters[0].header(t, "Subject"), letters[0].parts(t)[0].body
			if late := strings.Contains(subject, "(incomplete)") && strings.Contains(body, "not loaded up to the end") && strings.Contains(body, "2026-09-05 23:59:00"); late == caughtUp {
				t.Errorf("subject %q, it says\n%s", subject, body)
			}
		})
	}
}

// Nobody bought anything after midnight: where the loader can be asked, the run
// goes at once and has no remark; if it lags, the run waits.
func TestQuietNight(t *testing.T) {
	t.Parallel()
	server := startMail(t, true)
	b := newBench(t, newDB(t, at(t, "2026-09-05T22:00:00Z")), server, "2026-09-05T12:00:00Z", daily)
	lags := errors.New("3 partitions are not in ClickHouse yet")
	b.options.CaughtUp = func(context.Context) error { return lags }
	b.step(t, "2026-09-05T12:00:00Z")
	b.step(t, "2026-09-06T06:00:00Z")
	if n := len(server.received()); n != 0 {
		t.Fatalf("%d mails while the loader lags", n)
	}
	lags = nil
	b.step(t, "2026-09-06T06:01:00Z")
	if letters := server.received(); len(letters) != 1 || letters[0].header(t, "Subject") != "Yesterday" {
		t.Errorf("%d mails", len(letters))
	}
}

// Over the two nights on which clocks change, a daily job at half past two runs
// once a day: on the day that has no 02:30, and on the day that has two.
func TestOneRunADayWhateverClocksDo(t *testing.T) {
	t.Parallel()
	const nightly = `
schedules:
  - name: nightly
    cron: 30 2 * * *
    zone: Europe/Berlin
    reports:
      - {report: revenue, period: yesterday, formats: [json]}
    deliver:
      - directory: out
`
	for name, c := range map[string]struct {
		from string
		want []string
	}{
		"forward": {"2026-03-28T12:00:00+01:00", []string{"from_2026-03-28", "from_2026-03-29"}},
		"back":    {"2026-10-24T12:00:00+02:00", []string{"from_2026-10-24", "from_2026-10-25"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, newDB(t, later), nil, c.from, nightly)
			for now := at(t, c.from); now.Before(at(t, c.from).Add(44 * time.Hour)); now = now.Add(10 * time.Minute) {
				b.step(t, now.Format(time.RFC3339))
			}
			var got []string
			for _, f := range b.files(t, "out") {
				got = append(got, strings.TrimPrefix(f, "revenue_")[:len("from_2026-03-28")])
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) || b.runs(t, "nightly", resultDone) != 2 {
				t.Errorf("reports %v in %d runs, want %v in 2", got, b.runs(t, "nightly", resultDone), c.want)
			}
		})
	}
}

// A server that offers no TLS gets no mail and no password.
func TestNoMailInTheClear(t *testing.T) {
	t.Parallel()
	server := startMail(t, false)
	b := newBench(t, newDB(t, later), server, "2026-09-15T12:00:00Z", strings.Replace(monthly, "ca_file: ca.pem, ", "", 1))
	b.step(t, "2026-09-15T12:00:00Z")
	b.step(t, "2026-10-01T06:00:00+02:00")
	if n := len(server.received()); n != 0 || server.user != "" {
		t.Errorf("%d mails by %q", n, server.user)
	}
	if b.runs(t, "month-end", resultFailed) != 1 || !strings.Contains(b.log.String(), "STARTTLS") {
		t.Errorf("log: %s", b.log.String())
	}
	plain := newBench(t, newDB(t, later), server, "2026-09-15T12:00:00Z",
		strings.Replace(monthly, "ca_file: ca.pem, from: Box office <reports@example.org>, user: reports, password_env: SMTP_PASSWORD", "from: reports@example.org, tls: none", 1))
	if err := plain.Once(t.Context(), "month-end"); err != nil || len(server.received()) != 1 {
		t.Errorf("asked to go without TLS: %v, %d mails", err, len(server.received()))
	}
}

// Trying a schedule out brings everything now and leaves its next run as it was.
func TestOnceMarksNothing(t *testing.T) {
	t.Parallel()
	server := startMail(t, true)
	b := newBench(t, newDB(t, later), server, "2026-09-06T05:00:00Z", daily)
	b.step(t, "2026-09-06T05:00:00Z")
	before, err := os.ReadFile(b.state.path)
	if err != nil {
		t.Fatal(err)
	}
	stateless := b.options
	stateless.State, stateless.Registerer = "", nil
	another, err := Open(stateless) // while the first one runs
	if err != nil {
		t.Fatal(err)
	}
	if err := another.Once(t.Context(), "daily"); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(b.state.path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the state is %s, %v", after, err)
	}
	b.step(t, "2026-09-06T06:00:00Z")
	if n := len(server.received()); n != 2 {
		t.Errorf("%d mails, want the one to try and the one that was due", n)
	}
	if err := b.Once(t.Context(), "weekly"); err == nil {
		t.Error("a schedule that is not there was tried")
	}
}

// A second process on the same state would send everything twice: it is refused.
func TestOneProcessAState(t *testing.T) {
	t.Parallel()
	b := newBench(t, newDB(t, later), startMail(t, true), "2026-09-06T05:00:00Z", daily)
	b.options.Registerer = nil
	if _, err := Open(b.options); !errors.Is(err, ErrStateInUse) {
		t.Errorf("the second one was opened: %v", err)
	}
}

// A damaged state file is said to be one: starting anew in silence would leave
// runs out.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	b := newBench(t, newDB(t, later), startMail(t, true), "2026-09-06T05:00:00Z", daily)
	b.step(t, "2026-09-06T05:00:00Z")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.state.path, []byte(`{"schedules": {"dai`), 0o600); err != nil {
		t.Fatal(err)
	}
	b.options.Registerer = nil
	if _, err := Open(b.options); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("error %v", err)
	}
}
