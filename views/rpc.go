package views

import (
	"context"
	"net/http"

	"connectrpc.com/connect"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/problem"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
	"github.com/eventpro/boxoffice/schemas/boxoffice/v1/boxofficev1connect"
)

// rpcBodyMax bounds a request message; a look-up's is under 1 KB.
const rpcBodyMax = 64 << 10

// rpc is the generated service's side of the look-ups.
type rpc struct{ s *Server }

var _ boxofficev1connect.LookupServiceHandler = rpc{}

// rpcHandler serves the LookupService over Connect, gRPC and gRPC-Web.
func (s *Server) rpcHandler() (path string, h http.Handler) {
	return boxofficev1connect.NewLookupServiceHandler(rpc{s}, connect.WithReadMaxBytes(rpcBodyMax))
}

// unary is the frame of every unary call: who calls, the look-up, the freshness
// headers, the count.
func unary[Req any, Res answer](ctx context.Context, s *Server, route string, scope apikey.Scope, req Req,
	look func(context.Context, *call, Req) (Res, error),
) (Res, error) {
	start := s.cfg.Clock()
	c := &call{}
	info, _ := connect.CallInfoForHandlerContext(ctx)
	var res Res
	err := s.admit(c, info.RequestHeader(), scope)
	if err == nil {
		res, err = look(ctx, c, req)
	}
	s.metrics.routes[route].done(statusOf(ctx, err), s.cfg.Clock().Sub(start)-c.waited)
	if err != nil {
		return res, s.rpcFail(ctx, info, err)
	}
	setFreshnessHeaders(info.ResponseHeader(), res.GetFreshness())
	return res, nil
}

// statusOf is the HTTP status that stands for err in metrics, whatever the
// protocol.
func statusOf(ctx context.Context, err error) int {
	switch {
	case err == nil:
		return http.StatusOK
	case ctx.Err() != nil:
		return statusCallerGone
	}
	return problem.From(err).Status()
}

// rpcFail turns err into what Connect and gRPC carry, and logs what is our own
// fault.
func (s *Server) rpcFail(ctx context.Context, info connect.CallInfo, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if p := problem.From(err); p.Code == problem.Internal {
		s.cfg.Logger.Error("look-up failed", "path", info.Spec().Procedure, "error", p)
	}
	return rpcFailure(err)
}

// GetRegistration implements the LookupService.
func (r rpc) GetRegistration(ctx context.Context, req *pb.LookupServiceGetRegistrationRequest) (*pb.LookupServiceGetRegistrationResponse, error) {
	return unary(ctx, r.s, routeRegistration, apikey.RegistrationsRead, req, r.s.getRegistration)
}

// GetPayment implements the LookupService.
func (r rpc) GetPayment(ctx context.Context, req *pb.LookupServiceGetPaymentRequest) (*pb.LookupServiceGetPaymentResponse, error) {
	return unary(ctx, r.s, routePayment, apikey.RegistrationsRead, req, r.s.getPayment)
}

// GetEvent implements the LookupService.
func (r rpc) GetEvent(ctx context.Context, req *pb.LookupServiceGetEventRequest) (*pb.LookupServiceGetEventResponse, error) {
	return unary(ctx, r.s, routeEvent, anyKey, req, r.s.getEvent)
}

// ListEvents implements the LookupService.
func (r rpc) ListEvents(ctx context.Context, req *pb.LookupServiceListEventsRequest) (*pb.LookupServiceListEventsResponse, error) {
	return unary(ctx, r.s, routeEvents, anyKey, req, r.s.listEvents)
}

// GetAvailability implements the LookupService.
func (r rpc) GetAvailability(ctx context.Context, req *pb.LookupServiceGetAvailabilityRequest) (*pb.LookupServiceGetAvailabilityResponse, error) {
	return unary(ctx, r.s, routeAvailability, anyKey, req, r.s.getAvailability)
}

// ListAttendeeRegistrations implements the LookupService.
func (r rpc) ListAttendeeRegistrations(ctx context.Context, req *pb.LookupServiceListAttendeeRegistrationsRequest) (*pb.LookupServiceListAttendeeRegistrationsResponse, error) {
	return unary(ctx, r.s, routeAttendeeRegistrations, apikey.RegistrationsRead, req, r.s.listAttendeeRegistrations)
}

// WatchRegistration implements the LookupService.
func (r rpc) WatchRegistration(ctx context.Context, req *pb.LookupServiceWatchRegistrationRequest, out *connect.ServerStream[pb.LookupServiceWatchRegistrationResponse]) error {
	c := &call{}
	info, _ := connect.CallInfoForHandlerContext(ctx)
	err := r.s.admit(c, info.RequestHeader(), apikey.RegistrationsRead)
	if err == nil {
		err = r.s.follow(ctx, c, req, rpcFollower{out})
	}
	r.s.metrics.streamEnded(statusOf(ctx, err))
	if err != nil {
		return r.s.rpcFail(ctx, info, err)
	}
	return nil
}

// rpcFollower sends what is followed over a server stream.
type rpcFollower struct {
	out *connect.ServerStream[pb.LookupServiceWatchRegistrationResponse]
}

// open sends the headers, so that the caller knows that it is followed.
func (f rpcFollower) open() error { return f.out.Send(nil) }

func (f rpcFollower) send(a *pb.LookupServiceGetRegistrationResponse) error {
	return f.out.Send(&pb.LookupServiceWatchRegistrationResponse{Registration: a.GetRegistration(), Freshness: a.GetFreshness()})
}
