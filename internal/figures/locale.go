package figures

import (
	"strings"
	"time"

	"github.com/bojanz/currency"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"
)

// Locale writes figures, amounts and dates as people of a language and region do.
// Digits are 0 to 9 everywhere, and nothing in the text changes its direction:
// columns of figures stay columns.
type Locale struct {
	tag     language.Tag
	amounts *currency.Formatter
	// percent is "0%" as the locale writes it.
	percent string
	day     string
}

// ParseLocale reads a BCP 47 tag such as de, en-US or ar-KW. One that says no
// language is not known.
func ParseLocale(text string) (language.Tag, bool) {
	tag, err := language.Parse(text)
	if err != nil || tag.IsRoot() {
		return language.Und, false
	}
	return tag, true
}

// In gives the way of writing of a locale; of English when the tag says nothing.
func In(tag language.Tag) *Locale {
	if tag.IsRoot() {
		tag = language.English
	}
	base, _ := tag.Base()
	script, certain := tag.Script()
	id := currency.Locale{Language: base.String()}
	if certain == language.Exact {
		id.Script = script.String()
	}
	if region, certain := tag.Region(); certain == language.Exact {
		id.Territory = region.String()
	}
	latin, err := tag.SetTypeForKey("nu", "latn")
	if err != nil {
		latin = tag
	}
	return &Locale{
		tag:     tag,
		amounts: currency.NewFormatter(id),
		percent: plain.Replace(message.NewPrinter(latin).Sprint(number.Percent(0))),
		day:     dayLayout(base.String(), id.Territory),
	}
}

// Tag is the locale's BCP 47 tag.
func (l *Locale) Tag() language.Tag { return l.tag }

// Amount is an amount of minor units without its currency: "1.234,50".
func (l *Locale) Amount(minor int64, unit string) string {
	return l.decimal(Decimal(minor, unit), Digits(unit))
}

// Money is an amount with its currency: "1.234,50 €".
func (l *Locale) Money(minor int64, unit string) string {
	amount, err := currency.NewAmount(Decimal(minor, unit), unit)
	if err != nil { // not in the table of currencies
		return l.Amount(minor, unit) + "\u00a0" + unit
	}
	return l.format(amount, Digits(unit), currency.DisplaySymbol)
}

// Grouped is a count: "12.345".
func (l *Locale) Grouped(n int64) string { return l.decimal(decimal(n, 0, ""), 0) }

// Percent is a percentage of basis points: "12,34 %".
func (l *Locale) Percent(points int64) string {
	return strings.Replace(l.percent, "0", l.decimal(Hundredths(points), 2), 1)
}

// Day is a date: "30.09.2026".
func (l *Locale) Day(t time.Time) string { return t.Format(l.day) }

// Time is a date and a time of the day, in the time's zone.
func (l *Locale) Time(t time.Time) string { return t.Format(l.day + " 15:04:05") }

// decimal brings a plain decimal number into the locale's form. The currency is
// one that the formatter knows, and is not shown.
func (l *Locale) decimal(text string, digits int) string {
	amount, err := currency.NewAmount(text, "EUR")
	if err != nil {
		return text
	}
	return l.format(amount, digits, currency.DisplayNone)
}

func (l *Locale) format(amount currency.Amount, digits int, display currency.Display) string {
	f := *l.amounts
	f.MinDigits, f.MaxDigits, f.CurrencyDisplay = uint8(digits), uint8(digits), display
	return plain.Replace(f.Format(amount))
}

// plain turns digits and separators of Arabic, Persian, Bengali, Devanagari and
// Burmese into those that the same languages use with the digits 0 to 9, and
// drops marks of direction.
var plain = func() *strings.Replacer {
	pairs := []string{"٫", ".", "٬", ",", "\u200e", "", "\u200f", "", "\u061c", ""}
	for _, zero := range []rune{'٠', '۰', '০', '०', '၀'} {
		for i := range rune(10) {
			pairs = append(pairs, string(zero+i), string('0'+i))
		}
	}
	return strings.NewReplacer(pairs...)
}()
