package reports

import (
	"strings"
	"testing"

	"github.com/eventpro/boxoffice/sinks/clickhouse/queries"
)

// A figure that nobody has defined means something else to each reader: every
// column of every report has its line in the data dictionary, every section its
// query, and each definition is sound.
func TestEveryFigureIsInTheDictionary(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := WritePage(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, name := range Names() {
		d := catalogue[name]
		if d.about == "" || d.title == "" {
			t.Errorf("report %s does not say what it is for", name)
		}
		if err := d.empty().Check(); err != nil {
			t.Error(err)
		}
		for _, s := range d.sections {
			if _, err := queries.Get(s.Query); err != nil && (s.Query != "" || d.conclude == nil) {
				t.Errorf("report %s, section %s: %v", name, s.Name, err)
			}
			for _, c := range s.Columns {
				if !strings.Contains(page, inCell(c.About)) || !strings.Contains(page, code(c.Name)) {
					t.Errorf("the dictionary lacks %s of %s", c.Name, name)
				}
			}
		}
	}
}
