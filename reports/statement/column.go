package statement

import (
	"fmt"
	"time"
)

// Kind says what the cells of a column hold.
type Kind uint8

// The kinds, with the Go type of their cells. A nil cell of any kind is empty:
// there is no figure, which is not the figure zero.
const (
	// Text is a string.
	Text Kind = iota + 1
	// Money is an int64 of minor units of the row's currency.
	Money
	// Count is an int64.
	Count
	// Percent is an int64 of basis points: 1234 is 12.34 %.
	Percent
	// Day is a time.Time of which year, month and day count: a day of the
	// report's zone that the query has cut already.
	Day
	// Time is a time.Time, which is shown in the report's zone.
	Time
	// Duration is a time.Duration.
	Duration
)

// String is the kind's name.
func (k Kind) String() string {
	switch k {
	case Text:
		return "text"
	case Money:
		return "money"
	case Count:
		return "count"
	case Percent:
		return "percent"
	case Day:
		return "day"
	case Time:
		return "time"
	case Duration:
		return "duration"
	default:
		return fmt.Sprintf("kind %d", uint8(k))
	}
}

// Column is one column of a section.
type Column struct {
	// Name is the field in CSV and, with a suffix for its unit, in JSON: gross is
	// gross_minor there. Heading is the name for people.
	Name, Heading string
	Kind          Kind
	// About is the line of the data dictionary: what the figure means.
	About string
	// Dated says by which date and in which zone's days the figure is counted, if
	// not as the section says.
	Dated string
	// Hidden columns are for machines: ids.
	Hidden bool
	// NoTotal says that the sum of the column means nothing: prices, balances at
	// some moment, how much is left.
	NoTotal bool
	// Derived columns are no field of the query: they follow from the report, and
	// its conclude fills them in.
	Derived bool
	// Part and Whole name two columns of this section whose ratio a Percent is,
	// in rows and in totals. A Percent without them comes with the rows and has
	// no total. Whole may be nought: then there is no figure.
	Part, Whole string
}

// Field is the column's name in JSON, which says the unit.
func (c Column) Field() string {
	switch c.Kind {
	case Money:
		return c.Name + "_minor"
	case Percent:
		return c.Name + "_bp"
	case Duration:
		return c.Name + "_ms"
	default:
		return c.Name
	}
}

// Numeric says whether the column's figures stand to the right.
func (c Column) Numeric() bool {
	switch c.Kind {
	case Money, Count, Percent, Duration:
		return true
	default:
		return false
	}
}

// summed says whether totals add the column up.
func (c Column) summed() bool {
	return (c.Kind == Money || c.Kind == Count) && !c.NoTotal
}

// holds says whether a value is one of the kind.
func (k Kind) holds(value any) bool {
	if value == nil {
		return true
	}
	ok := false
	switch k {
	case Text:
		_, ok = value.(string)
	case Money, Count, Percent:
		_, ok = value.(int64)
	case Day, Time:
		_, ok = value.(time.Time)
	case Duration:
		_, ok = value.(time.Duration)
	}
	return ok
}
