// Package audit makes the records of what people do with the operators' tools.
// A tool writes the record before its effect, or in one transaction with it, so
// that no effect is without its record.
package audit

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// ID is the id of an action: derived from its kind and from what it acts on, the
// record if there is one, else the key. The same action on the same thing has
// the same id, however often it is done.
func ID(a *pb.OperatorAction) uuid.UUID {
	on := a.Key
	if a.Topic != "" {
		on = fmt.Sprintf("%s/%d/%d", a.Topic, a.Partition, a.Offset)
	}
	return topology.OperatorActionID(uint32(a.Kind), on)
}

// Record returns the record of an action for topology.OperatorActions, keyed by
// what was acted on, and fills in the action's id. It says what is missing: an
// audit trail with holes is none.
func Record(a *pb.OperatorAction) (*kgo.Record, error) {
	var errs []error
	if a.Kind == pb.OperatorActionKind_OPERATOR_ACTION_KIND_UNSPECIFIED {
		errs = append(errs, errors.New("what was done"))
	}
	if a.Operator == "" {
		errs = append(errs, errors.New("who did it"))
	}
	if a.Topic == "" && a.Key == "" {
		errs = append(errs, errors.New("what it was done to"))
	}
	if a.TimeUnixMs <= 0 {
		errs = append(errs, errors.New("when"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("an audit record does not say: %w", err)
	}
	id := ID(a)
	a.ActionId = id[:]
	value, err := proto.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encoding an audit record: %w", err)
	}
	return &kgo.Record{Topic: topology.OperatorActions.Name, Key: []byte(a.Key), Value: value}, nil
}

// Parse reads an action back from its record.
func Parse(r *kgo.Record) (*pb.OperatorAction, error) {
	a := new(pb.OperatorAction)
	if err := proto.Unmarshal(r.Value, a); err != nil {
		return nil, fmt.Errorf("%s/%d at offset %d is no operator's action: %w", r.Topic, r.Partition, r.Offset, err)
	}
	return a, nil
}
