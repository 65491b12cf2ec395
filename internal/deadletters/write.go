package deadletters

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// WriteList writes letters as a table for people, and how many there are.
func WriteList(w io.Writer, letters []*Letter) error {
	var out strings.Builder
	if len(letters) > 0 {
		table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tWHEN\tGROUP\tRECORD\tKEY\tCLASS\tREASON\tATTEMPTS\tSTATE")
		for _, l := range letters {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", l.ShortID(), l.Time.UTC().Format(time.DateTime),
				dash(l.Group), record(l), dash(printable(l.Key)), l.Class, l.Reason, l.Attempts, l.fate())
		}
		if err := table.Flush(); err != nil {
			return err
		}
		out.WriteByte('\n')
	}
	writeCounts(&out, letters)
	_, err := io.WriteString(w, out.String())
	return err
}

// record names where a record was first.
func record(l *Letter) string {
	if l.Original.Topic == "" {
		return "-"
	}
	return l.Original.String()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// printable shows a key of any bytes without harm to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// fate is the letter's state, with its links.
func (l *Letter) fate() string {
	text := string(l.State())
	if l.RedriveOf != "" {
		text += ", was " + l.RedriveOf[:min(len(l.RedriveOf), 8)]
	}
	for _, id := range l.DiedAgain {
		text += ", died again as " + id[:min(len(id), 8)]
	}
	return text
}

// writeCounts counts letters by group and reason, and by state.
func writeCounts(w io.Writer, letters []*Letter) {
	states, causes := map[State]int{}, map[string]int{}
	for _, l := range letters {
		states[l.State()]++
		causes[fmt.Sprintf("%s: %s (%s)", dash(l.Group), l.Reason, l.Class)]++
	}
	fmt.Fprintf(w, "%d dead letters: %d open, %d redriven, %d discarded\n", len(letters), states[Open], states[Redriven], states[Discarded])
	for _, cause := range slices.Sorted(maps.Keys(causes)) {
		fmt.Fprintf(w, "  %6d  %s\n", causes[cause], cause)
	}
}

// listed is a letter in JSON.
type listed struct {
	ID            string    `json:"id"`
	Time          time.Time `json:"time"`
	Group         string    `json:"group,omitempty"`
	Topic         string    `json:"topic,omitempty"`
	Partition     int32     `json:"partition"`
	Offset        int64     `json:"offset"`
	Key           string    `json:"key"`
	Class         string    `json:"class"`
	Reason        string    `json:"reason"`
	Detail        string    `json:"detail"`
	Attempts      int       `json:"attempts"`
	FirstFailedAt string    `json:"first_failed_at,omitempty"`
	State         State     `json:"state"`
	RedriveOf     string    `json:"redrive_of,omitempty"`
	DiedAgain     []string  `json:"died_again,omitempty"`
	Actions       []acted   `json:"actions,omitempty"`
}

type acted struct {
	Kind     string    `json:"kind"`
	Operator string    `json:"operator"`
	Note     string    `json:"note,omitempty"`
	Time     time.Time `json:"time"`
	Detail   string    `json:"detail,omitempty"`
}

// WriteJSON writes letters as an array of objects.
func WriteJSON(w io.Writer, letters []*Letter) error {
	list := make([]listed, 0, len(letters))
	for _, l := range letters {
		v := listed{
			ID: l.ID, Time: l.Time.UTC(), Group: l.Group, Topic: l.Original.Topic, Partition: l.Original.Partition,
			Offset: l.Original.Offset, Key: l.Key, Class: l.Class, Reason: l.Reason, Detail: l.Detail, Attempts: l.Attempts,
			FirstFailedAt: l.FirstFailedAt, State: l.State(), RedriveOf: l.RedriveOf, DiedAgain: l.DiedAgain,
		}
		for _, a := range l.Actions {
			v.Actions = append(v.Actions, acted{
				Kind: kindOf(a), Operator: a.Operator, Note: a.Note, Time: time.UnixMilli(a.TimeUnixMs).UTC(), Detail: a.Detail,
			})
		}
		list = append(list, v)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(list)
}

func kindOf(a *pb.OperatorAction) string {
	return strings.ToLower(strings.TrimPrefix(a.Kind.String(), "OPERATOR_ACTION_KIND_"))
}

// WriteLetter writes all that is known of one letter, and what its record says.
func WriteLetter(w io.Writer, l *Letter) error {
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(table, "%s\t%s\n", name, value) }
	row("id", l.ID)
	row("state", l.fate())
	row("written", l.Time.UTC().Format(time.RFC3339Nano)+" at "+l.At.String())
	row("group", dash(l.Group))
	row("record", record(l))
	row("key", dash(printable(l.Key)))
	row("class", l.Class)
	row("reason", l.Reason)
	row("attempts", fmt.Sprintf("%d, the first at %s", l.Attempts, dash(l.FirstFailedAt)))
	for _, h := range stream.Travelling(l.record.Headers) {
		row("header "+printable(h.Key), printable(string(h.Value)))
	}
	for _, a := range l.Actions {
		row(kindOf(a), fmt.Sprintf("%s by %s: %s %s", time.UnixMilli(a.TimeUnixMs).UTC().Format(time.RFC3339), a.Operator, dash(a.Note), a.Detail))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(&out, "\n%s\n\n%s\n", strings.TrimSpace(l.Detail), content(l))
	_, err := io.WriteString(w, out.String())
	return err
}

// content is the record's value: the message if it is one, else its bytes.
func content(l *Letter) string {
	value := l.record.Value
	if value == nil {
		return "The record has no value."
	}
	for _, t := range topology.Topics() {
		if t.Name != l.Original.Topic || t.New == nil {
			continue
		}
		m := t.New()
		if err := proto.Unmarshal(value, m); err == nil {
			return string(m.ProtoReflect().Descriptor().FullName()) + " " + protojson.MarshalOptions{Multiline: true}.Format(m)
		}
	}
	return fmt.Sprintf("%d bytes that are no message of the topic:\n%s", len(value), strings.TrimRight(hex.Dump(value), "\n"))
}
