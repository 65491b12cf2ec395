package clickhouse

import "github.com/google/uuid"

// undecodable is the kind of an audit row whose record nobody can read.
const undecodable = "undecodable"

// auditRows is the table events: one narrow row a record.
type auditRows struct {
	table
	source  source
	time    *plain[int64]
	key     *plain[uuid.UUID]
	kind    *plain[string]
	version *plain[uint64]
}

func newAuditRows() *auditRows {
	r := &auditRows{table: table{name: "events"}}
	t := &r.table
	r.source = sourceColumns(t)
	r.time = field[int64](t, "time", wireTime)
	r.key = field[uuid.UUID](t, "key", wireUUID)
	r.kind = field[string](t, "kind", "String")
	r.version = field[uint64](t, "version", "UInt64")
	return r
}

func (r *auditRows) add(at position, timeMs int64, key uuid.UUID, kind string, version uint64) {
	r.source.add(at)
	r.time.add(instant(timeMs))
	r.key.add(key)
	r.kind.add(kind)
	r.version.add(version)
}
