package settlement

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eventpro/boxoffice/internal/figures"
)

// mistakesShown is how many bad lines are named before a file is given up.
const mistakesShown = 20

// FileError says which lines of a file cannot be read.
type FileError struct{ Mistakes []string }

// Error implements error.
func (e *FileError) Error() string {
	return "the file cannot be used, nothing was compared:\n  " + strings.Join(e.Mistakes, "\n  ")
}

// form is how a file writes a line.
type form struct {
	name string
	key  Key
	// columns are what parse gets, by the names that a header may have for each.
	columns [][]string
	// parse reads one line. other is the provider's name for a line that is no
	// charge and no refund.
	parse func(fields []string) (e Entry, other string, err error)
}

var forms = []form{
	{
		name: "ledger", key: ByReference, parse: parseLedger,
		columns: [][]string{{"kind"}, {"id"}, {"reference"}, {"amount_minor"}, {"currency"}, {"fee_minor"}, {"at"}},
	},
	{
		name: "Stripe balance transactions", key: ByProviderID, parse: parseStripe,
		columns: [][]string{
			{"reporting_category", "type"},
			{"source_id", "source"},
			{"gross", "amount"},
			{"fee"},
			{"currency"},
			{"created_utc", "created_(utc)", "created"},
		},
	},
}

// place finds the form's columns in a header; nil when one is missing.
func (f *form) place(header []string) []int {
	places := make([]int, 0, len(f.columns))
	for _, names := range f.columns {
		at := -1
		for _, name := range names {
			if at = slices.Index(header, name); at >= 0 {
				break
			}
		}
		if at < 0 {
			return nil
		}
		places = append(places, at)
	}
	return places
}

// formOf tells a file's form by its header.
func formOf(header []string) (*form, []int, error) {
	names := make([]string, len(header))
	for i, name := range header {
		name = strings.TrimPrefix(name, "\ufeff") // what spreadsheets put before a file
		names[i] = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), " ", "_")
	}
	for i := range forms {
		if places := forms[i].place(names); places != nil {
			return &forms[i], places, nil
		}
	}
	var known []string
	for i := range forms {
		var columns []string
		for _, names := range forms[i].columns {
			columns = append(columns, strings.Join(names, "|"))
		}
		known = append(known, fmt.Sprintf("%s (%s)", forms[i].name, strings.Join(columns, ", ")))
	}
	return nil, nil, &FileError{[]string{fmt.Sprintf("line 1: the header is %q; it must have the columns of %s",
		strings.Join(header, ","), strings.Join(known, " or "))}}
}

// readFile gives every charge and refund of a CSV file to add. It reads on after
// a bad line, to tell of the others too; the error is a *FileError then.
func readFile(in io.Reader, add func(Key, Entry) error, other func(string)) error {
	reader := csv.NewReader(in)
	reader.ReuseRecord = true
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return &FileError{[]string{"line 1: the file is empty; it must start with a header"}}
	} else if err != nil {
		return &FileError{[]string{err.Error()}}
	}
	f, places, err := formOf(header)
	if err != nil {
		return err
	}
	var mistakes []string
	fields := make([]string, len(places))
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var parsed *csv.ParseError
		if errors.As(err, &parsed) {
			mistakes = append(mistakes, fmt.Sprintf("line %d: %v", parsed.StartLine, parsed.Err))
			if !errors.Is(err, csv.ErrFieldCount) {
				break // where the next line starts is anybody's guess
			}
		} else if err != nil {
			return fmt.Errorf("reading the file: %w", err)
		} else if mistake, err := f.line(reader, record, places, fields, add, other); err != nil {
			return err
		} else if mistake != "" {
			mistakes = append(mistakes, mistake)
		}
		if len(mistakes) == mistakesShown {
			mistakes = append(mistakes, "and perhaps more")
			break
		}
	}
	if len(mistakes) > 0 {
		return &FileError{mistakes}
	}
	return nil
}

// line hands one line on, or says what is wrong with it.
func (f *form) line(reader *csv.Reader, record []string, places []int, fields []string, add func(Key, Entry) error, other func(string)) (mistake string, err error) {
	for i, at := range places {
		fields[i] = strings.TrimSpace(record[at])
	}
	number, _ := reader.FieldPos(0)
	e, name, err := f.parse(fields)
	switch {
	case err != nil:
		return fmt.Sprintf("line %d: %v", number, err), nil
	case name != "":
		other(name)
		return "", nil
	}
	e.Line, e.Booked = int64(number), true
	return "", add(f.key, e)
}

func parseLedger(fields []string) (Entry, string, error) {
	switch Kind(fields[0]) {
	case Charge, Refund:
	case "decline":
		return Entry{}, fields[0], nil
	default:
		return Entry{}, "", fmt.Errorf("kind is %q: use charge, refund or decline", fields[0])
	}
	e := Entry{Kind: Kind(fields[0]), ProviderID: fields[1], Reference: canonical(fields[2]), Currency: fields[4]}
	var err error
	if e.AmountMinor, err = whole("amount_minor", fields[3]); err != nil {
		return e, "", err
	}
	if e.FeeMinor, err = whole("fee_minor", fields[5]); err != nil {
		return e, "", err
	}
	if e.At, err = time.Parse(time.RFC3339, fields[6]); err != nil {
		return e, "", fmt.Errorf("at is %q: use a time such as 2026-09-01T12:00:00.000Z", fields[6])
	}
	return checked(e, e.Reference, "reference")
}

func whole(column, text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s is %q: use a whole number of minor units that is not negative", column, text)
	}
	return n, nil
}

// stripeKinds are the categories and types of balance transactions that settle a
// charge or a refund.
var stripeKinds = map[string]Kind{"charge": Charge, "payment": Charge, "refund": Refund, "payment_refund": Refund}

func parseStripe(fields []string) (Entry, string, error) {
	category := strings.ToLower(fields[0])
	kind, ok := stripeKinds[category]
	if category == "" {
		return Entry{}, "", errors.New("the category or type is empty")
	} else if !ok {
		return Entry{}, category, nil
	}
	e := Entry{Kind: kind, ProviderID: fields[1], Currency: strings.ToUpper(fields[4])}
	var err error
	if e.AmountMinor, err = figures.Minor(fields[2], e.Currency); err != nil {
		return e, "", fmt.Errorf("the amount is %q: use a decimal number with a point and the digits of %s", fields[2], e.Currency)
	}
	if e.FeeMinor, err = figures.Minor(fields[3], e.Currency); err != nil {
		return e, "", fmt.Errorf("the fee is %q: use a decimal number with a point and the digits of %s", fields[3], e.Currency)
	}
	if kind == Refund {
		e.AmountMinor = -e.AmountMinor
	}
	if e.At, err = parseStripeTime(fields[5]); err != nil {
		return e, "", err
	}
	return checked(e, e.ProviderID, "source")
}

func parseStripeTime(text string) (time.Time, error) {
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04", time.RFC3339} {
		if at, err := time.ParseInLocation(layout, text, time.UTC); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("the time is %q: use UTC such as 2026-09-01 12:00:00", text)
}

func checked(e Entry, key, name string) (Entry, string, error) {
	switch {
	case key == "":
		return e, "", fmt.Errorf("%s is empty, so the line can belong to nothing", name)
	case len(e.Currency) != 3:
		return e, "", fmt.Errorf("currency is %q: use an ISO 4217 code such as EUR", e.Currency)
	}
	return e, "", nil
}
