package settlement

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"golang.org/x/text/language"

	"github.com/eventpro/boxoffice/internal/figures"
	"github.com/eventpro/boxoffice/reports"
	"github.com/eventpro/boxoffice/reports/statement"
)

// titles head the findings' sections, abouts say what they mean.
var titles = map[Finding]string{
	MissingHere: "Missing here", UnknownReference: "Unknown reference", MissingThere: "Missing there", Duplicate: "Duplicate",
	DifferentCurrency: "Different currency", DifferentAmount: "Different amount", DifferentFee: "Different fee", DifferentDay: "Different day",
}

var abouts = map[Finding]string{
	MissingHere:       "The provider settled it; we asked for it and have not booked it. An answer is missing or was never applied: see 'boxoffice sagas'.",
	UnknownReference:  "The provider settled it, and there is no payment and no refund here that it can belong to.",
	MissingThere:      "It is booked here, and the provider's lines do not have it.",
	Duplicate:         "The provider's lines have it again: a line that stands there twice, or money that was moved twice.",
	DifferentCurrency: "The two sides name different currencies.",
	DifferentAmount:   "The two sides name different amounts.",
	DifferentFee:      "The provider keeps another fee than is booked here.",
	DifferentDay:      "The two sides name different days of the report's time zone.",
}

// Head is what a statement says beside the result.
type Head struct {
	// Source names the provider's side: a file or a URL.
	Source string
	// Locale is whose way of writing figures is used.
	Locale language.Tag
}

// Statement is the result as a report: the sums of both sides by currency, then a
// section for each finding that occurred.
func (r *Result) Statement(head Head) (*statement.Report, error) {
	scope := r.Scope
	out := &statement.Report{
		Name: "settlement", Title: "Provider's settlement against our payments",
		From: scope.From, To: scope.To, Zone: scope.zone(), Locale: head.Locale, AsOf: r.AsOf,
		Conditions: []string{"against " + head.Source, cmp.Or(scope.Currency, "all currencies"), cmp.Or(r.provider, "all providers but of imported sales")},
		Parameters: map[string]string{
			"source": head.Source, "source_sha256": r.digest, "zone": scope.zone().String(),
			"currency": cmp.Or(scope.Currency, "all"), "provider": cmp.Or(r.provider, "all"),
			"from": shownTime(scope.From), "to": shownTime(scope.To),
		},
		Notes: r.notes(),
	}
	out.ID = reports.Identity(out.Name, out.Parameters, r.AsOf)
	if n := r.Differs(); n > 0 {
		out.Alarm = figures.Grouped(n) + " differences between the provider and us"
	}
	sums, err := r.sumSection()
	if err != nil {
		return nil, err
	}
	out.Sections = append(out.Sections, sums)
	for _, finding := range Findings() {
		if r.Counts[finding] == 0 {
			continue
		}
		section, err := r.section(finding)
		if err != nil {
			return nil, err
		}
		out.Sections = append(out.Sections, section)
	}
	if len(r.Other) > 0 {
		section, err := r.otherSection()
		if err != nil {
			return nil, err
		}
		out.Sections = append(out.Sections, section)
	}
	return out, out.Check()
}

func shownTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func (r *Result) notes() []string {
	notes := []string{figures.Grouped(r.Matched()) + " charges and refunds agree in currency, amount, fee and day. " +
		"Differences are the provider's side minus ours; test sales are included."}
	if r.Scope.To.IsZero() || r.Scope.To.After(r.AsOf) {
		notes = append(notes, "The period goes on after the moment that the database is as of: what the provider did since then may be missing here only because it is on its way.")
	}
	return notes
}

func (r *Result) sumSection() (*statement.Section, error) {
	s := &statement.Section{
		Name: "sums", Title: "Both sides", NoTotals: true, Empty: "neither side has anything in this period",
		Columns: []statement.Column{
			{Name: "kind", Heading: "Kind", Kind: statement.Text, About: "charge or refund."},
			{Name: "currency", Heading: "Currency", Kind: statement.Text, About: "ISO 4217 code of the amounts in the row."},
			{Name: "count_there", Heading: "Lines", Kind: statement.Count, About: "The provider's lines in the period."},
			{Name: "count_here", Heading: "Booked", Kind: statement.Count, About: "Our bookings in the period, by the provider's time."},
			{Name: "matched", Heading: "Matched", Kind: statement.Count, About: "Pairs that agree in everything."},
			{Name: "there", Heading: "Provider", Kind: statement.Money, About: "The provider's amount."},
			{Name: "here", Heading: "Here", Kind: statement.Money, About: "Our amount."},
			{Name: "difference", Heading: "Difference", Kind: statement.Money, About: "The provider's amount minus ours."},
			{Name: "fee_there", Heading: "Provider's fee", Kind: statement.Money, About: "The fee that the provider names."},
			{Name: "fee_here", Heading: "Fee here", Kind: statement.Money, About: "The fee that is booked here."},
			{Name: "fee_difference", Heading: "Difference", Kind: statement.Money, About: "The provider's fee minus ours."},
		},
	}
	for _, key := range slices.SortedFunc(maps.Keys(r.Sums), func(a, b SumKey) int {
		return cmp.Or(cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Kind, b.Kind))
	}) {
		sums := r.Sums[key]
		there, here := sums.There, sums.Here
		if err := s.Add(key.Currency, string(key.Kind), key.Currency, there.Count, here.Count, sums.Matched,
			there.AmountMinor, here.AmountMinor, there.AmountMinor-here.AmountMinor,
			there.FeeMinor, here.FeeMinor, there.FeeMinor-here.FeeMinor); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// section lists one finding.
func (r *Result) section(finding Finding) (*statement.Section, error) {
	s := &statement.Section{
		Name: string(finding), Title: fmt.Sprintf("%s (%s)", titles[finding], figures.Grouped(r.Counts[finding])),
		Notes: []string{abouts[finding]},
		Columns: []statement.Column{
			{Name: "line", Heading: "Line", Kind: statement.Text, About: "Where it stands in the file or ledger."},
			{Name: "kind", Heading: "Kind", Kind: statement.Text, About: "charge or refund."},
			{Name: "reference", Heading: "Payment or refund", Kind: statement.Text, About: "Our id of the payment or refund."},
			{Name: "provider_id", Heading: "Provider's id", Kind: statement.Text, About: "The provider's id of the charge or refund."},
			{Name: "currency", Heading: "Currency", Kind: statement.Text, About: "ISO 4217 code of the amounts in the row: the provider's, where it has a line."},
			{Name: "there", Heading: "Provider", Kind: statement.Money, About: "The provider's amount."},
			{Name: "here", Heading: "Here", Kind: statement.Money, About: "Our amount; empty when it is in another currency."},
			{Name: "fee_there", Heading: "Provider's fee", Kind: statement.Money, About: "The fee that the provider names."},
			{Name: "fee_here", Heading: "Fee here", Kind: statement.Money, About: "The fee that is booked here; empty when it is in another currency."},
			{Name: "at_there", Heading: "Provider's time", Kind: statement.Time, About: "The provider's time of it."},
			{Name: "at_here", Heading: "Time here", Kind: statement.Time, About: "The provider's time as it is booked here."},
			{Name: "currency_here", Heading: "Currency here", Kind: statement.Text, Hidden: finding != DifferentCurrency, About: "The currency that is booked here."},
		},
	}
	for _, d := range r.Differences[finding] {
		currency, cells := d.cells()
		if err := s.Add(currency, cells...); err != nil {
			return nil, err
		}
	}
	if left := r.Counts[finding] - int64(len(r.Differences[finding])); left > 0 {
		s.Notes = append(s.Notes, figures.Grouped(left)+" more are counted above and not listed; the totals are those of the rows.")
	}
	return s, s.Total()
}

// cells are those of a finding's section.
func (d Difference) cells() (currency string, cells []any) {
	there, here := d.There, d.Here
	first := cmp.Or(there, here)
	cells = make([]any, 12)
	cells[1], cells[4] = string(first.Kind), first.Currency
	if there != nil {
		cells[0], cells[2], cells[3] = strconv.FormatInt(there.Line, 10), there.Reference, there.ProviderID
		cells[5], cells[7], cells[9] = there.AmountMinor, there.FeeMinor, there.At
	}
	if here != nil {
		cells[2], cells[3] = here.Reference, cmp.Or(first.ProviderID, here.ProviderID)
		if here.Currency == first.Currency {
			cells[6], cells[8] = here.AmountMinor, here.FeeMinor
		}
		cells[10], cells[11] = here.At, here.Currency
	}
	return first.Currency, cells
}

func (r *Result) otherSection() (*statement.Section, error) {
	s := &statement.Section{
		Name: "other", Title: "Lines that settle no charge and no refund", NoTotals: true,
		Notes: []string{"They were not compared."},
		Columns: []statement.Column{
			{Name: "category", Heading: "Category", Kind: statement.Text, About: "The provider's name for lines of this kind."},
			{Name: "lines", Heading: "Lines", Kind: statement.Count, About: "How many there are."},
		},
	}
	for _, category := range slices.Sorted(maps.Keys(r.Other)) {
		if err := s.Add("", category, r.Other[category]); err != nil {
			return nil, err
		}
	}
	return s, nil
}
