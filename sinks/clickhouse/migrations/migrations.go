// Package migrations holds the schema of the analytics database as goose
// migrations. A released file never changes: a later one changes the schema.
package migrations

import "embed"

// FS holds the SQL files.
//
//go:embed *.sql
var FS embed.FS
