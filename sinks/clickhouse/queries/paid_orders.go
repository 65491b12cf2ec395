package queries

import "github.com/google/uuid"

// PaidOrdersSnapshot is a part of a month of paid_orders: the orders and payments
// that were requested in it, of which those that fall into Bucket of Buckets. Each
// part is joined in memory.
type PaidOrdersSnapshot struct {
	Snapshot uuid.UUID
	// Month is the year times 100 and the month.
	Month           uint32
	Bucket, Buckets int
}

// SQL selects its rows, in the order of PaidOrdersColumns.
func (s PaidOrdersSnapshot) SQL() string { return render(shared, "paid_orders_snapshot", s) }

// PaidOrdersColumns are the columns that a snapshot fills.
func PaidOrdersColumns() string {
	return "snapshot, " + render(shared, "both_columns", nil) + ", opens_at, quiet_at"
}

// SnapshotsThatStand selects the months that readers take orders from paid_orders for.
func SnapshotsThatStand() string { return render(shared, "snapshots_that_stand", nil) }

// SnapshotTables selects what stands for the tables that snapshots are made of;
// SnapshotParts the parts that these have now, as an array.
func SnapshotTables() string { return render(shared, "snapshot_tables", nil) }

// SnapshotParts is described at SnapshotTables.
func SnapshotParts() string { return render(shared, "snapshot_parts", nil) }
