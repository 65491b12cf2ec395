package topology

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// WritePage writes the catalogue as a Markdown page: the graph of groups and
// topics, a table of groups and a table of topics.
func WritePage(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Topology\n\nGenerated from `internal/topology`; `make generate` rewrites it.\n\n")
	writeGraph(&b)
	writeGroups(&b)
	writeTopics(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func writeGraph(b *strings.Builder) {
	b.WriteString("```mermaid\nflowchart LR\n  ingest([ingest])\n  provider([payment provider])\n  views([views])\n")
	for _, g := range Groups() {
		fmt.Fprintf(b, "  %s[[%s]]\n", node(g.Name), g.Name)
	}
	producers := map[string][]string{
		CatalogCommands.Name:      {"ingest"},
		RegistrationCommands.Name: {"ingest"},
	}
	for _, g := range Groups() {
		for _, t := range g.Outputs {
			producers[t.Name] = append(producers[t.Name], node(g.Name))
		}
	}
	for _, g := range Groups() {
		for _, t := range g.Inputs {
			for _, from := range producers[t.Name] {
				fmt.Fprintf(b, "  %s -->|%s| %s\n", from, t.Name, node(g.Name))
			}
		}
	}
	fmt.Fprintf(b, "  %s <-->|HTTP| provider\n", node(Gateway.Name))
	for _, t := range []Topic{CatalogTable, RegistrationsTable, PaymentsTable, AttendeesTable, InventoryTable} {
		fmt.Fprintf(b, "  %s -.->|%s| views\n", node(strings.TrimSuffix(t.Name, tableSuffix)), t.Name)
	}
	b.WriteString("```\n\n")
}

func node(name string) string { return strings.ReplaceAll(name, "-", "_") }

func writeGroups(b *strings.Builder) {
	b.WriteString("## Groups\n\n| group | kind | key | inputs | outputs | table | about |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, g := range Groups() {
		kind := "exactly once"
		if g.Kind == Outside {
			kind = "at least once, ordered commits"
		}
		table := g.Table.Name
		if table == "" {
			table = "-"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s | %s |\n",
			g.Name, kind, g.Key, names(g.Inputs), names(g.Outputs), table, g.About)
	}
	b.WriteString("\nEvery group also writes to `" + DeadLetters.Name + "`, every exactly-once group to `" + Retries.Name + "`.\n\n")
}

func names(topics []Topic) string {
	if len(topics) == 0 {
		return "-"
	}
	list := make([]string, len(topics))
	for i, t := range topics {
		list[i] = t.Name
	}
	return strings.Join(list, ", ")
}

func writeTopics(b *strings.Builder) {
	fmt.Fprintf(b, "## Topics\n\nAll topics have the same number of partitions: %d by default, %d embedded. It is for ever.\n\n",
		DefaultPartitions, EmbeddedPartitions)
	b.WriteString("| topic | key | message | kept | about |\n| --- | --- | --- | --- | --- |\n")
	for _, t := range Topics() {
		message := "the original bytes"
		if t.New != nil {
			message = "`" + string(t.New().ProtoReflect().Descriptor().FullName()) + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", t.Name, t.Key, message, t.kept(), t.About)
	}
}

func (t Topic) kept() string {
	switch {
	case t.Cleanup == Compact:
		return "last of each key"
	case t.Retention == 0:
		return "for ever"
	default:
		return fmt.Sprintf("%d days", t.Retention/(24*time.Hour))
	}
}
