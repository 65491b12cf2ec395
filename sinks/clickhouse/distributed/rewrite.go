package distributed

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Places of a table in Keeper. {uuid} keeps a table that is dropped and made again
// apart from its predecessor, and lets tables be renamed; the macros {shard} and
// {replica} are each server's own.
const (
	shardPath   = "'/clickhouse/tables/{uuid}/{shard}', '{replica}'"
	clusterPath = "'/clickhouse/tables/{uuid}/all', '{shard}-{replica}'"
)

// local is the name of the table with a shard's rows.
func local(table string) string { return table + "_local" }

// Target is where the schema goes.
type Target struct {
	// Cluster is a name in the servers' remote_servers, or a macro such as
	// {cluster}.
	Cluster  string
	Database string
}

var clusterName = regexp.MustCompile(`^(\{[A-Za-z0-9_]{1,60}\}|[A-Za-z0-9_][A-Za-z0-9_.-]{0,62})$`)

// Validate says what is wrong with the target.
func (t Target) Validate() error {
	if !clusterName.MatchString(t.Cluster) {
		return fmt.Errorf("cluster name %q: use letters, digits, and _ . -, or a macro in braces", t.Cluster)
	}
	return nil
}

// CreateDatabase makes the database on every server.
func (t Target) CreateDatabase() string {
	return fmt.Sprintf("CREATE DATABASE IF NOT EXISTS %s ON CLUSTER '%s'", t.Database, t.Cluster)
}

// CreateVersions makes goose's table of versions. It is one table with a copy on
// every server of every shard, so that the loader finds the schema's version
// whichever server it comes to.
func (t Target) CreateVersions(table string) string {
	return fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s
(
    version_id Int64,
    is_applied UInt8,
    date       Date     DEFAULT now(),
    tstamp     DateTime DEFAULT now()
)
ENGINE = ReplicatedMergeTree(%s)
ORDER BY version_id`, t.on(table), clusterPath)
}

// on names an object on every server.
func (t Target) on(name string) string {
	return fmt.Sprintf("%s.%s ON CLUSTER '%s'", t.Database, name, t.Cluster)
}

// rewriter knows what earlier statements have made.
type rewriter struct {
	to            Target
	tables, views map[string]bool
}

// rewrite returns the statements for the cluster.
func (w *rewriter) rewrite(sql string) ([]string, error) {
	s := parse(sql)
	switch {
	case s.begins(0, "CREATE", "TABLE"):
		return w.createTable(s)
	case s.begins(0, "CREATE", "VIEW"):
		return w.createView(s)
	case s.begins(0, "CREATE", "MATERIALIZED", "VIEW"):
		return w.createMaterialized(s)
	case s.begins(0, "ALTER", "TABLE"):
		return w.alter(s)
	case s.begins(0, "DROP", "TABLE"), s.begins(0, "DROP", "VIEW"):
		return w.drop(s)
	case s.begins(0, "INSERT", "INTO"):
		return []string{text(s.tokens)}, nil
	}
	return nil, errors.New("no rule says what becomes of it on a cluster: add one to sinks/clickhouse/distributed")
}

// createTable makes the replicated table with a shard's rows and the Distributed
// table over it.
func (w *rewriter) createTable(s *statement) ([]string, error) {
	name, open, err := s.name(2, "IF", "NOT", "EXISTS")
	if err != nil {
		return nil, err
	}
	engine := s.find(open, "ENGINE")
	if engine < 0 || !s.at(open).is("(") || !s.at(engine+1).is("=") {
		return nil, errors.New("want columns in brackets, then ENGINE =")
	}
	kind := s.at(engine + 2).text
	if !strings.HasSuffix(kind, "MergeTree") || strings.HasPrefix(kind, "Replicated") {
		return nil, fmt.Errorf("engine %s has no replicated form", kind)
	}
	arguments, rest := shardPath, engine+3
	if s.at(rest).is("(") {
		end := s.bracket(rest)
		if inner := s.between(rest+1, end-1); inner != "" {
			arguments += ", " + inner
		}
		rest = end
	}
	key := s.clause(engine, "ORDER", "BY")
	if k := parse(key); k.at(0).is("(") && k.bracket(0) == len(k.code) {
		key = k.between(1, len(k.code)-1)
	}
	if key == "" || strings.EqualFold(key, "tuple()") {
		return nil, errors.New("without a sorting key no shard can be chosen")
	}
	w.tables[name] = true
	about := ""
	if c := s.clause(engine, "COMMENT"); c != "" {
		about = "\nCOMMENT " + c
	}
	return []string{
		fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s\n%s\nENGINE = Replicated%s(%s)\n%s", w.to.on(local(name)),
			s.between(open, engine), kind, arguments, replicatedSettings(s.between(rest, len(s.code)))),
		fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s AS %s.%s\nENGINE = Distributed('%s', '%s', '%s', cityHash64(%s))%s",
			w.to.on(name), w.to.Database, local(name), w.to.Cluster, w.to.Database, local(name), key, about),
	}, nil
}

// replicatedSettings: a replicated table remembers the tokens of inserts under
// another setting.
func replicatedSettings(clauses string) string {
	return strings.ReplaceAll(clauses, "non_replicated_deduplication_window", "replicated_deduplication_window")
}

func (w *rewriter) createView(s *statement) ([]string, error) {
	name, after, err := s.name(2, "IF", "NOT", "EXISTS")
	if err != nil {
		return nil, err
	}
	qualified := s.reading(after, func(table string) string {
		if w.tables[table] || w.views[table] {
			return w.to.Database + "." + table
		}
		return table
	})
	w.views[name] = true
	return []string{fmt.Sprintf("CREATE VIEW IF NOT EXISTS %s %s", w.to.on(name), qualified)}, nil
}

// createMaterialized keeps a shard's rows on the shard. What its target sums up is
// one row a shard and key, so whoever reads it has to group, as they have to between
// two merges.
func (w *rewriter) createMaterialized(s *statement) ([]string, error) {
	name, after, err := s.name(3, "IF", "NOT", "EXISTS")
	if err != nil {
		return nil, err
	}
	target := s.at(after + 1).text
	if !s.at(after).is("TO") || !w.tables[target] {
		return nil, errors.New("a materialized view must write TO a table of an earlier statement; one that refreshes would do so on every replica")
	}
	ofShard := s.reading(after+2, func(table string) string {
		if w.tables[table] {
			return w.to.Database + "." + local(table)
		}
		return table
	})
	return []string{fmt.Sprintf("CREATE MATERIALIZED VIEW IF NOT EXISTS %s TO %s.%s %s",
		w.to.on(name), w.to.Database, local(target), ofShard)}, nil
}

// alter changes the tables with the rows, and the Distributed table where it has a
// share in the change.
func (w *rewriter) alter(s *statement) ([]string, error) {
	name := s.at(2).text
	if !w.tables[name] {
		return nil, fmt.Errorf("%s is no table of an earlier statement", name)
	}
	var shared []string
	for _, c := range s.commands(3) {
		if (c.begins(0, "ADD") && !c.begins(2, "IF", "NOT", "EXISTS")) || (c.begins(0, "DROP") && !c.begins(2, "IF", "EXISTS")) {
			return nil, fmt.Errorf("%.40q lacks IF [NOT] EXISTS: on a cluster a statement may have to be repeated", text(c.tokens))
		}
		if c.begins(1, "COLUMN") || c.begins(0, "MODIFY", "COMMENT") {
			shared = append(shared, text(c.tokens))
		}
	}
	out := []string{fmt.Sprintf("ALTER TABLE %s %s", w.to.on(local(name)), replicatedSettings(s.between(3, len(s.code))))}
	if len(shared) > 0 {
		out = append(out, fmt.Sprintf("ALTER TABLE %s %s", w.to.on(name), strings.Join(shared, ", ")))
	}
	return out, nil
}

func (w *rewriter) drop(s *statement) ([]string, error) {
	name, _, err := s.name(2, "IF", "EXISTS")
	if err != nil {
		return nil, err
	}
	out := []string{fmt.Sprintf("DROP %s IF EXISTS %s SYNC", strings.ToUpper(s.at(1).text), w.to.on(name))}
	if w.tables[name] {
		out = append(out, fmt.Sprintf("DROP TABLE IF EXISTS %s SYNC", w.to.on(local(name))))
	}
	return out, nil
}
