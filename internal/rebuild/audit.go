package rebuild

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/audit"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Person is who has a swap made and why, for the audit trail.
type Person struct{ Name, Note string }

// record is the audit record of a swap of what.
func (p Person) record(what, detail string) (*kgo.Record, error) {
	return audit.Record(&pb.OperatorAction{
		Kind: pb.OperatorActionKind_OPERATOR_ACTION_KIND_REBUILD, Operator: p.Name, Note: p.Note,
		TimeUnixMs: time.Now().UnixMilli(), Key: what, Detail: detail,
	})
}
