package systemtest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/sinks/clickhouse"
)

// awaitAudited waits until the audit trail says of each record that nobody can
// read it.
func (s *system) awaitAudited(t *testing.T, want []stream.Position) {
	t.Helper()
	db, err := clickhouse.OpenDB(url(s.clickhouse), clickhouse.DefaultDatabase)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	eventually(t, "the audit trail has what cannot be read", func() error {
		rows, err := db.QueryContext(t.Context(), "SELECT topic, partition, offset FROM events FINAL WHERE kind = 'undecodable'")
		if err != nil {
			return err
		}
		defer rows.Close()
		var found []stream.Position
		for rows.Next() {
			var at stream.Position
			if err := rows.Scan(&at.Topic, &at.Partition, &at.Offset); err != nil {
				return err
			}
			found = append(found, at)
		}
		for _, at := range want {
			if !slices.Contains(found, at) {
				return fmt.Errorf("%v is not among %v", at, found)
			}
		}
		return rows.Err()
	})
}

// awaitLoaded waits until a registration is in ClickHouse as settled.
func (s *system) awaitLoaded(t *testing.T, registration string) {
	t.Helper()
	db, err := clickhouse.OpenDB(url(s.clickhouse), clickhouse.DefaultDatabase)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	eventually(t, "ClickHouse has registration "+registration, func() error {
		var settled bool
		err := db.QueryRowContext(t.Context(), "SELECT settled FROM registrations FINAL WHERE registration_id = ?", registration).Scan(&settled)
		if err == nil && !settled {
			err = errors.New("it is not settled there")
		}
		return err
	})
}
