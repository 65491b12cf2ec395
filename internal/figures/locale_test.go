package figures

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/text/language"
)

// A reader in Berlin, Paris, Tokyo, Zürich, Mumbai or Kuwait reads the same amount
// in the customary form, and the digits of the currency stay those of ISO 4217.
func TestLocales(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 9, 1, 14, 5, 6, 0, time.UTC)
	for _, c := range []struct{ tag, euros, yen, dinars, negative, count, percent, day string }{
		{"en", "€1,234,567.50", "¥9,800", "KWD 1,234.567", "-€0.05", "1,234,567", "12.34%", "2026-09-01"},
		{"en-US", "€1,234,567.50", "¥9,800", "KWD 1,234.567", "-€0.05", "1,234,567", "12.34%", "Sep 01, 2026"},
		{"en-GB", "€1,234,567.50", "JP¥9,800", "KWD 1,234.567", "-€0.05", "1,234,567", "12.34%", "01 Sep 2026"},
		{"en-IN", "€12,34,567.50", "JP¥9,800", "KWD 1,234.567", "-€0.05", "12,34,567", "12.34%", "01 Sep 2026"},
		{"de", "1.234.567,50 €", "9.800 ¥", "1.234,567 KWD", "-0,05 €", "1.234.567", "12,34 %", "01.09.2026"},
		{"de-CH", "€ 1'234'567.50", "¥ 9'800", "KWD 1'234.567", "€-0.05", "1'234'567", "12.34%", "01.09.2026"},
		{"fr", "1_234_567,50 €", "9_800 ¥", "1_234,567 KWD", "-0,05 €", "1_234_567", "12,34 %", "01/09/2026"},
		{"ja", "€1,234,567.50", "￥9,800", "KWD 1,234.567", "-€0.05", "1,234,567", "12.34%", "2026/09/01"},
		{"ar-KW", "1,234,567.50 €", "9,800 JP¥", "1,234.567 د.ك.", "-0.05 €", "1,234,567", "12.34%", "01/09/2026"},
	} {
		tag, ok := ParseLocale(c.tag)
		if !ok {
			t.Fatalf("%s is not known", c.tag)
		}
		l := In(tag)
		for _, f := range []struct{ got, want string }{
			{l.Money(123_456_750, "EUR"), c.euros},
			{l.Money(9_800, "JPY"), c.yen},
			{l.Money(1_234_567, "KWD"), c.dinars},
			{l.Money(-5, "EUR"), c.negative},
			{l.Grouped(1_234_567), c.count},
			{l.Percent(1_234), c.percent},
			{l.Day(day), c.day},
			{l.Time(day), c.day + " 14:05:06"},
		} {
			if got := spaces.Replace(f.got); got != f.want {
				t.Errorf("%s: got %q, want %q", c.tag, got, f.want)
			}
		}
	}
}

// No-break spaces are written as spaces here, narrow ones as underscores.
var spaces = strings.NewReplacer("\u00a0", " ", "\u202f", "_")

// IQD has three digits in the books, whatever is customary, and the largest and
// smallest amounts are whole.
func TestLocaleKeepsEveryDigit(t *testing.T) {
	t.Parallel()
	l := In(language.German)
	for _, c := range []struct{ got, want string }{
		{l.Amount(12_345, "IQD"), "12,345"},
		{l.Money(12_345, "IQD"), "12,345 IQD"},
		{l.Amount(9_223_372_036_854_775_807, "EUR"), "92.233.720.368.547.758,07"},
		{l.Amount(-9_223_372_036_854_775_808, "JPY"), "-9.223.372.036.854.775.808"},
		{l.Grouped(-9_223_372_036_854_775_808), "-9.223.372.036.854.775.808"},
		{l.Amount(12_345, "CLF"), "1,2345"},
		{l.Money(100, "ZZZ"), "1,00 ZZZ"},
	} {
		if got := spaces.Replace(c.got); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// A tag without a language is refused rather than taken for English.
func TestParseLocale(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "und", "deutsch-", "xx_yy_zz_1"} {
		if tag, ok := ParseLocale(text); ok {
			t.Errorf("%q is taken for %v", text, tag)
		}
	}
}
