package backfill

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/eventpro/boxoffice/internal/figures"
)

var separators = strings.NewReplacer(".", "", ",", "")

// amountOf reads an amount of money as people and programs write it: 1234.50,
// 1,234.50, 1.234,50, EUR 12.00, or nothing for none.
func amountOf(text, currency string) (int64, error) {
	digits := figures.Digits(currency)
	s := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c == '.' || c == ',' || c == '-' {
			return c
		}
		return -1
	}, text)
	if s == "" {
		if strings.TrimSpace(text) != "" {
			return 0, fmt.Errorf("%q is no amount", text)
		}
		return 0, nil
	}
	s, negative := strings.CutPrefix(s, "-")
	whole, fraction := s, ""
	if i := strings.LastIndexAny(s, ".,"); i >= 0 && isFraction(s, i, digits) {
		whole, fraction = s[:i], s[i+1:]
	}
	whole = separators.Replace(whole)
	if len(fraction) > digits {
		if strings.Trim(fraction[digits:], "0") != "" {
			return 0, fmt.Errorf("%q has more decimals than %s has", text, currency)
		}
		fraction = fraction[:digits]
	}
	n, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", digits-len(fraction)), 10, 64)
	if err != nil || n > math.MaxInt64/10_000 {
		return 0, fmt.Errorf("%q is no amount", text)
	}
	if negative {
		n = -n
	}
	return n, nil
}

// isFraction reports whether what follows the separator at i are decimals: it is
// the only one of its kind, and does not look like one between thousands.
func isFraction(s string, i, digits int) bool {
	after := len(s) - i - 1
	if strings.Count(s, s[i:i+1]) > 1 {
		return false
	}
	return after != 3 || digits == 3 || strings.ContainsAny(s[:i], ".,")
}

// clockForms are the times of day that may follow a date.
var clockForms = []string{"", " 15:04:05", " 15:04", " 3:04:05 PM", " 3:04 PM"}

// timeOf reads a time. One without a zone is of the settings' zone.
func (s *Settings) timeOf(text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	for _, form := range []string{time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 -07:00", "2006-01-02 15:04:05.999999Z07:00", "2006-01-02T15:04:05-0700"} {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC(), nil
		}
	}
	dates := []string{"2006-01-02", "02.01.2006", "2.1.2006", "Jan 2, 2006", "January 2, 2006", "2 Jan 2006", "2 January 2006"}
	slashed := strings.Count(text, "/") == 2
	switch {
	case slashed && s.DayFirst:
		dates = []string{"2/1/2006", "2/1/06"}
	case slashed && s.MonthFirst:
		dates = []string{"1/2/2006", "1/2/06"}
	case slashed:
		return time.Time{}, fmt.Errorf("%q may be two days: say which with --date-order", text)
	}
	zone := s.Zone
	if zone == nil {
		zone = time.UTC
	}
	text = strings.Replace(strings.Replace(text, "T", " ", 1), "  ", " ", 1)
	for _, date := range dates {
		for _, clock := range clockForms {
			for _, between := range []string{"", ","} {
				t, err := time.ParseInLocation(date+between+clock, text, zone)
				if err != nil {
					continue
				}
				if s.Zone == nil {
					return time.Time{}, fmt.Errorf("%q has no time zone: say which with --tz", text)
				}
				return t.UTC(), nil
			}
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time", text)
}

// rateOf reads a tax rate in percent as basis points: 19.00, 19 %, 7,5.
func rateOf(text string) (uint32, error) {
	s := strings.ReplaceAll(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "%")), ",", ".")
	if s == "" {
		return 0, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f > 100 {
		return 0, fmt.Errorf("%q is no tax rate", text)
	}
	return uint32(math.Round(f * 100)), nil
}
