package statement

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/language"
)

// Report is a statement that is ready to be written.
type Report struct {
	Name, Title string
	// ID is made of name, parameters and AsOf: two reports with one id say the
	// same.
	ID uuid.UUID
	// From is inside the period, To is the first moment after it; zero is open.
	From, To time.Time
	// NoPeriod says that the report is about a moment.
	NoPeriod bool
	// Zone is the zone in which times are shown and days are cut.
	Zone *time.Location
	// Conditions are the other parameters in words.
	Conditions []string
	// Parameters are all of them for machines.
	Parameters map[string]string
	// AsOf is the time of the newest record that the figures may contain; 1970
	// when nothing was loaded yet.
	AsOf time.Time
	// Locale is whose way of writing figures and dates the formats for people
	// use.
	Locale language.Tag
	// Alarm comes first in every format: the figures contradict each other.
	Alarm    string
	Notes    []string
	Sections []*Section
}

// Section gives a section by its name; nil when there is none.
func (r *Report) Section(name string) *Section {
	if i := slices.IndexFunc(r.Sections, func(s *Section) bool { return s.Name == name }); i >= 0 {
		return r.Sections[i]
	}
	return nil
}

// Loaded says whether anything was loaded when the report was made.
func (r *Report) Loaded() bool { return r.AsOf.Unix() > 0 }

// Check says what is wrong with the definition: formats may rely on it.
func (r *Report) Check() error {
	var mistakes []error
	wrong := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	kinds, names := map[string]Kind{}, map[string]bool{}
	for _, s := range r.Sections {
		if s.Name == "" || s.Title == "" || names[s.Name] {
			wrong("section %q has no name or title of its own", s.Name)
		}
		names[s.Name] = true
		columns := map[string]bool{}
		for _, c := range s.Columns {
			at := s.Name + "." + c.Name
			if c.Name == "" || c.Heading == "" || columns[c.Name] {
				wrong("column %s has no name or heading of its own", at)
			}
			columns[c.Name] = true
			if c.About == "" {
				wrong("column %s has no line for the data dictionary", at)
			}
			if kind, ok := kinds[c.Name]; ok && kind != c.Kind {
				wrong("column %s is %v, and %v in another section: a CSV file has one column for both", at, c.Kind, kind)
			}
			kinds[c.Name] = c.Kind
			if c.Part != "" && (s.Column(c.Part) < 0 || s.Column(c.Whole) < 0) {
				wrong("column %s is the ratio of %s and %s, which are not both there", at, c.Part, c.Whole)
			}
		}
		if err := s.checkChart(); err != nil {
			mistakes = append(mistakes, err)
		}
	}
	if err := errors.Join(mistakes...); err != nil {
		return fmt.Errorf("report %s: %w", r.Name, err)
	}
	return nil
}

func (s *Section) checkChart() error {
	if s.Chart == nil {
		return nil
	}
	x := s.Column(s.Chart.X)
	if x < 0 || (s.Columns[x].Kind != Day && s.Columns[x].Kind != Text) {
		return fmt.Errorf("section %s: the chart's x is %q, which must be a column of days or texts", s.Name, s.Chart.X)
	}
	if len(s.Chart.Y) == 0 {
		return fmt.Errorf("section %s: the chart draws no column", s.Name)
	}
	var kind Kind
	for _, name := range s.Chart.Y {
		y := s.Column(name)
		if y < 0 || (s.Columns[y].Kind != Money && s.Columns[y].Kind != Count) || (kind != 0 && s.Columns[y].Kind != kind) {
			return fmt.Errorf("section %s: the chart's columns must be all money or all counts, and %q is not", s.Name, name)
		}
		kind = s.Columns[y].Kind
	}
	return nil
}
