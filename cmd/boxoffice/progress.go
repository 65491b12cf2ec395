package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/internal/load"
)

// progress shows a sale while it runs: a block of lines that is redrawn on a
// terminal, one plain line every few seconds elsewhere.
type progress struct {
	out   io.Writer
	live  bool
	width int
	drawn int // lines of the block that are on the screen
	plain time.Time
}

// plainEvery is how often a plain line is written.
const plainEvery = 5 * time.Second

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, width: 80}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb" {
		p.live = true
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 20 {
			p.width = width
		}
	}
	return p
}

// show draws a snapshot.
func (p *progress) show(s load.Snapshot) {
	if !p.live {
		if time.Since(p.plain) >= plainEvery {
			p.plain = time.Now()
			fmt.Fprintf(p.out, "  %4.0f s  %s of %s accepted, %s confirmed (%s/s), %s sold out, %s payment failed, p50 %s p99 %s\n",
				s.Elapsed.Seconds(), grouped(s.Accepted), grouped(int64(s.Planned)), grouped(s.Confirmed), grouped(int64(s.ConfirmedPerS)),
				grouped(s.SoldOut), grouped(s.PaymentFailed), milliseconds(s.P50), milliseconds(s.P99))
		}
		return
	}
	p.redraw(p.block(s))
}

func (p *progress) block(s load.Snapshot) []string {
	decided := s.Confirmed + s.SoldOut + s.PaymentFailed + s.Expired + s.Rejected
	bar := max(10, min(48, p.width-34))
	return []string{
		fmt.Sprintf("  accepted  %s  %9s  %6s/s", gauge(s.Accepted, int64(s.Planned), bar), grouped(s.Accepted), grouped(int64(s.AcceptedPerS))),
		fmt.Sprintf("  decided   %s  %9s  %6s/s", gauge(decided, int64(s.Planned), bar), grouped(decided), grouped(int64(s.DecidedPerS))),
		fmt.Sprintf("  confirmed %s   sold out %s   payment failed %s   cancelled %s   open %s",
			grouped(s.Confirmed), grouped(s.SoldOut), grouped(s.PaymentFailed), grouped(s.Cancelled), grouped(s.Open)),
		fmt.Sprintf("  request to confirmed   p50 %s   p99 %s   elapsed %.0f s", milliseconds(s.P50), milliseconds(s.P99), s.Elapsed.Seconds()),
	}
}

// redraw replaces the block on the screen.
func (p *progress) redraw(lines []string) {
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.drawn)
	}
	for _, line := range lines {
		if runes := []rune(line); len(runes) > p.width {
			line = string(runes[:p.width])
		}
		fmt.Fprintf(&b, "\x1b[2K%s\n", line)
	}
	p.drawn = len(lines)
	_, _ = io.WriteString(p.out, b.String())
}

// finish leaves the last block where it is.
func (p *progress) finish() { p.drawn = 0 }

// gauge is a bar of the given width.
func gauge(done, total int64, width int) string {
	if total <= 0 {
		total = 1
	}
	full := int(min(done, total) * int64(width) / total)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

// grouped writes a count with thousands separators.
var grouped = figures.Grouped

// milliseconds writes a duration for people.
func milliseconds(d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

// verifyProgress shows how far the reading of the books is: one line that is
// redrawn on a terminal, nothing elsewhere.
type verifyProgress struct {
	*progress
	drawnAt time.Time
}

func newVerifyProgress(out io.Writer) *verifyProgress {
	return &verifyProgress{progress: newProgress(out)}
}

// say writes a line that stays.
func (p *verifyProgress) say(line string) { fmt.Fprintln(p.out, line) }

// show draws how much of a topic is read; 0 of 0 when that is not known.
func (p *verifyProgress) show(what string, done, total int64) {
	if !p.live || time.Since(p.drawnAt) < 100*time.Millisecond && done < total {
		return
	}
	p.drawnAt = time.Now()
	line := "  reading " + what
	if total > 0 {
		line = fmt.Sprintf("  reading %-24s %s  %13s", what, gauge(done, total, max(10, min(40, p.width-56))), grouped(total))
	}
	p.redraw([]string{line})
}

// finish takes the line away.
func (p *verifyProgress) finish() {
	if p.drawn > 0 {
		_, _ = io.WriteString(p.out, "\x1b[1A\x1b[2K")
		p.drawn = 0
	}
}
