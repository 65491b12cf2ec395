package problem

import (
	"errors"
	"strconv"

	"connectrpc.com/connect"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// RPC returns err's problem as an error of gRPC and Connect: the catalogue's
// RPC code, the detail as message, and a ProblemDetail with the rest.
func RPC(err error) *connect.Error {
	p := From(err)
	e := connect.NewError(Define(p.Code).RPC, errors.New(p.Detail))
	if d, err := connect.NewErrorDetail(p.Proto(false)); err == nil {
		e.AddDetail(d)
	}
	if s := p.RetryAfterSeconds(); s > 0 {
		e.Meta().Set("Retry-After", strconv.Itoa(s))
	}
	return e
}

// Proto returns the problem as a message; withDetail for where no error message
// stands beside it.
func (p *Problem) Proto(withDetail bool) *pb.ProblemDetail {
	d := &pb.ProblemDetail{
		Code: string(p.Code), Instance: p.Instance, RetryAfterSeconds: uint32(p.RetryAfterSeconds()),
	}
	if withDetail {
		d.Detail = p.Detail
	}
	for _, v := range p.Violations {
		d.Violations = append(d.Violations, &pb.ProblemViolation{Field: v.Field, Code: v.Code, Message: v.Message})
	}
	return d
}
