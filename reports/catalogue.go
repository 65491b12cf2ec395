package reports

import (
	"maps"
	"slices"

	"github.com/eventpro/boxoffice/reports/statement"
	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// definition is a report before it has figures.
type definition struct {
	name, title string
	// about is the report in a sentence: for whom it is, which question it
	// answers.
	about string
	// sections are without rows. A row of a section's query becomes a row of the
	// section: see fill. A section without a query is filled by conclude.
	sections []statement.Section
	// notes say what the figures mean.
	notes []string
	// conclude looks at the figures: it may set the alarm, add notes and fill
	// sections that follow from others. May be nil.
	conclude func(*statement.Report) error
}

// catalogue has the reports by name.
var catalogue = byName(
	revenue, dailyRevenue, eventPerformance, ticketTypes, paymentMethods, channels, funnel, openItems, payout,
)

func byName(definitions ...definition) map[string]definition {
	out := make(map[string]definition, len(definitions))
	for _, d := range definitions {
		out[d.name] = d
	}
	return out
}

// Names lists the reports.
func Names() []string { return slices.Sorted(maps.Keys(catalogue)) }

// About says in a sentence what a report is for.
func About(name string) string { return catalogue[name].about }

// empty is the report without figures.
func (d definition) empty() *statement.Report {
	r := &statement.Report{Name: d.name, Title: d.title, Notes: slices.Clone(d.notes)}
	for _, s := range d.sections {
		s.Notes = slices.Clone(s.Notes)
		r.Sections = append(r.Sections, &s)
	}
	return r
}

// parameters are those of the queries.
func (d definition) parameters() map[string]bool {
	has := map[string]bool{}
	for _, s := range d.sections {
		q, err := queries.Get(s.Query)
		if err != nil {
			continue // a section without one, or filling it says it
		}
		for name := range q.Params {
			has[name] = true
		}
	}
	return has
}
