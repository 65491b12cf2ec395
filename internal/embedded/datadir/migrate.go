package datadir

import (
	"fmt"
)

// migration brings a directory from one layout version to the next. It runs under
// the lock, with nothing else alive in the directory. VERSION is written after it,
// so that one that was killed half-way runs again from its beginning: it must
// find its own half-done work and go on. It must not take away what the older
// release needs until its last step, so that a failure leaves a way back.
type migration func(*Dir) error

// migrations has, at index n, what brings layout version n+1 to version n+2. The
// present version is 1 more than there are of them. Each release that changes the
// layout appends one and keeps all the others.
//
// What is inside the parts' folders is not a matter of layout: records are
// Protobuf, which old and new code read (I10); the loader migrates ClickHouse; local
// tables are rebuilt from their topics when their format is another one.
var migrations []migration

// present is the layout version that this program writes.
func present(steps []migration) int { return len(steps) + 1 }

func versionText(version int) []byte { return fmt.Appendf(nil, "%s%d\n", layout, version) }

// migrate brings an older directory to the present layout, one version at a time.
func (d *Dir) migrate(steps []migration) error {
	// Read again: before the lock was taken another process may have migrated.
	version, err := checkOurs(d.path, steps)
	if err != nil || version == 0 {
		return err
	}
	for ; version < present(steps); version++ {
		if err := steps[version-1](d); err != nil {
			return fmt.Errorf("the data directory %s cannot be brought from layout version %d to %d: %w; mend the cause and start again, or go on with the older release, which still reads it",
				d.path, version, version+1, err)
		}
		if err := replace(d.Path(versionFile), versionText(version+1), 0o644); err != nil {
			return explain(d.path, err)
		}
	}
	return nil
}
