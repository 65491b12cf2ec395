package ingest

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"github.com/google/uuid"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/problem"
	"github.com/eventpro/boxoffice/internal/stream"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
	"github.com/eventpro/boxoffice/schemas/boxoffice/v1/boxofficev1connect"
)

// rpc serves IngestService over gRPC, gRPC-Web and Connect. It does what REST
// does, through the same functions.
func (s *Server) rpc() http.Handler {
	_, handler := boxofficev1connect.NewIngestServiceHandler(&rpcDoor{s},
		connect.WithReadMaxBytes(s.cfg.BodyBytesMax),
		connect.WithInterceptors(s.newGuard()),
		connect.WithRecover(func(_ context.Context, spec connect.Spec, _ http.Header, v any) error {
			s.cfg.Log.Error("a request panicked", "route", spec.Procedure, "panic", v)
			return problem.RPC(problem.New(problem.Internal, "The request could not be handled; repeat it with the same idempotency key."))
		}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == boxofficev1connect.IngestServiceRegisterBatchProcedure {
			// A stream lives longer than the server's deadlines for one request.
			control := http.NewResponseController(w)
			_ = control.SetWriteDeadline(time.Time{})
			r = r.WithContext(context.WithValue(r.Context(), controlKey{}, control))
		}
		handler.ServeHTTP(w, r)
	})
}

type (
	callerKey  struct{}
	controlKey struct{}
)

func callerOf(ctx context.Context) *apikey.Identity {
	caller, _ := ctx.Value(callerKey{}).(*apikey.Identity)
	return caller
}

// guard is the interceptor that checks keys, measures, and turns problems into
// errors of the protocol.
type guard struct {
	server *Server
	routes map[string]guardedProcedure
}

type guardedProcedure struct {
	scope   apikey.Scope
	metrics routeMetrics
}

func (s *Server) newGuard() *guard {
	g := &guard{server: s, routes: map[string]guardedProcedure{}}
	for procedure, scope := range map[string]apikey.Scope{
		boxofficev1connect.IngestServiceCreateEventProcedure:        apikey.EventsWrite,
		boxofficev1connect.IngestServiceSetCapacityProcedure:        apikey.EventsWrite,
		boxofficev1connect.IngestServiceCancelEventProcedure:        apikey.EventsWrite,
		boxofficev1connect.IngestServiceRegisterProcedure:           apikey.RegistrationsWrite,
		boxofficev1connect.IngestServiceRegisterBatchProcedure:      apikey.RegistrationsWrite,
		boxofficev1connect.IngestServiceCancelRegistrationProcedure: apikey.RegistrationsWrite,
	} {
		g.routes[procedure] = guardedProcedure{scope, s.metrics.route(procedure)}
	}
	return g
}

// around runs one call. A procedure without a scope is refused: a new one must
// not be open by oversight.
func (g *guard) around(ctx context.Context, procedure, authorization string, call func(context.Context) error) error {
	route := g.routes[procedure]
	start := time.Now()
	err := g.server.enter()
	defer g.server.leave()
	if err == nil {
		var caller *apikey.Identity
		if caller, err = g.server.cfg.Keys.Authorize(authorization, route.scope); err == nil {
			err = call(context.WithValue(ctx, callerKey{}, caller))
		}
	}
	status := http.StatusOK
	if err != nil {
		p := problem.From(err)
		g.server.note(ctx, p)
		status = p.Status()
		err = problem.RPC(p)
	}
	if route.metrics.duration != nil {
		route.metrics.duration.Observe(time.Since(start).Seconds())
		route.metrics.byStatus[status].Inc()
	}
	return err
}

// WrapUnary implements connect.Interceptor.
func (g *guard) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (res connect.AnyResponse, err error) {
		err = g.around(ctx, req.Spec().Procedure, req.Header().Get("Authorization"), func(ctx context.Context) error {
			var callErr error
			res, callErr = next(ctx, req)
			return callErr
		})
		if err != nil {
			return nil, err
		}
		return res, nil
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (g *guard) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		return g.around(ctx, conn.Spec().Procedure, conn.RequestHeader().Get("Authorization"), func(ctx context.Context) error {
			return next(ctx, conn)
		})
	}
}

// WrapStreamingClient implements connect.Interceptor; the door calls nobody.
func (g *guard) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// rpcDoor translates between the service's messages and the front door.
type rpcDoor struct{ server *Server }

var _ boxofficev1connect.IngestServiceHandler = (*rpcDoor)(nil)

func position(p stream.Position) *pb.Position {
	return &pb.Position{Topic: p.Topic, Partition: p.Partition, Offset: p.Offset}
}

func messageID(field, text string) (uuid.UUID, error) {
	var c checker
	id := c.id(field, text)
	return id, c.err()
}

// CreateEvent implements IngestServiceHandler.
func (d *rpcDoor) CreateEvent(ctx context.Context, req *pb.IngestServiceCreateEventRequest) (*pb.IngestServiceCreateEventResponse, error) {
	e := newEvent{
		Name: req.Name, Venue: req.Venue, Region: req.Region, Currency: req.Currency,
		StartsAt: fromMillis(req.StartsAtUnixMs), SaleStartsAt: fromMillis(req.SaleStartsUnixMs), SaleEndsAt: fromMillis(req.SaleEndsUnixMs),
		MaxPerAttendee: int64(req.MaxPerAttendee), TestMode: req.TestMode,
	}
	for _, t := range req.TicketTypes {
		e.TicketTypes = append(e.TicketTypes, newTicketType{
			ID: t.Id, Name: t.Name, PriceMinor: t.PriceMinor, TaxRateBp: int64(t.TaxRateBp), TaxMode: taxModeName(t.TaxMode),
			Capacity: int64(t.Capacity), BlockSize: int64(t.BlockSize),
		})
	}
	id, at, onSale, err := d.server.createEvent(ctx, callerOf(ctx), req.IdempotencyKey, &e)
	if err != nil {
		return nil, err
	}
	return &pb.IngestServiceCreateEventResponse{
		EventId: id.String(), Position: position(at), OnSale: onSale, StatusUrl: d.server.cfg.ViewsURL + eventPath(id),
	}, nil
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func taxModeName(mode pb.TaxMode) string {
	for name, m := range taxModes {
		if m == mode {
			return name
		}
	}
	return fmt.Sprintf("unknown (%d)", mode)
}

// SetCapacity implements IngestServiceHandler.
func (d *rpcDoor) SetCapacity(ctx context.Context, req *pb.IngestServiceSetCapacityRequest) (*pb.IngestServiceSetCapacityResponse, error) {
	id, err := messageID("event_id", req.EventId)
	if err != nil {
		return nil, err
	}
	capacity := int64(req.Capacity)
	at, err := d.server.setCapacity(ctx, callerOf(ctx), id, &newCapacity{TicketType: req.TicketType, Capacity: &capacity})
	if err != nil {
		return nil, err
	}
	return &pb.IngestServiceSetCapacityResponse{EventId: id.String(), Position: position(at), StatusUrl: d.server.cfg.ViewsURL + eventPath(id)}, nil
}

// CancelEvent implements IngestServiceHandler.
func (d *rpcDoor) CancelEvent(ctx context.Context, req *pb.IngestServiceCancelEventRequest) (*pb.IngestServiceCancelEventResponse, error) {
	id, err := messageID("event_id", req.EventId)
	if err != nil {
		return nil, err
	}
	at, err := d.server.cancelEvent(ctx, callerOf(ctx), id, &eventCancellation{Reason: req.Reason})
	if err != nil {
		return nil, err
	}
	return &pb.IngestServiceCancelEventResponse{EventId: id.String(), Position: position(at), StatusUrl: d.server.cfg.ViewsURL + eventPath(id)}, nil
}

func orderOf(req *pb.IngestServiceRegisterRequest) *order {
	o := &order{
		EventID: req.GetEventId(), Channel: req.GetChannel(), Region: req.GetRegion(), PaymentMethod: req.GetPaymentMethod(),
		Lines: make([]orderLine, 0, len(req.GetLines())),
	}
	o.Attendee.Email, o.Attendee.Name = req.GetAttendee().GetEmail(), req.GetAttendee().GetName()
	for _, l := range req.GetLines() {
		o.Lines = append(o.Lines, orderLine{TicketType: l.TicketType, Quantity: int64(l.Quantity), DiscountMinor: l.DiscountMinor})
	}
	return o
}

func (d *rpcDoor) registered(id uuid.UUID, at stream.Position) *pb.IngestServiceRegisterResponse {
	return &pb.IngestServiceRegisterResponse{
		RegistrationId: id.String(), Position: position(at), StatusUrl: d.server.cfg.ViewsURL + registrationPath(id),
	}
}

// Register implements IngestServiceHandler.
func (d *rpcDoor) Register(ctx context.Context, req *pb.IngestServiceRegisterRequest) (*pb.IngestServiceRegisterResponse, error) {
	registering, err := d.server.prepare(ctx, callerOf(ctx), req.IdempotencyKey, orderOf(req))
	if err != nil {
		return nil, err
	}
	at, err := d.server.accept(ctx, &registering)
	if err != nil {
		return nil, err
	}
	return d.registered(registering.id, at), nil
}

// CancelRegistration implements IngestServiceHandler.
func (d *rpcDoor) CancelRegistration(ctx context.Context, req *pb.IngestServiceCancelRegistrationRequest) (*pb.IngestServiceCancelRegistrationResponse, error) {
	id, err := messageID("registration_id", req.RegistrationId)
	if err != nil {
		return nil, err
	}
	at, err := d.server.cancelRegistration(ctx, callerOf(ctx), id, req.IdempotencyKey, &cancellation{Lines: req.Lines, Reason: req.Reason})
	if err != nil {
		return nil, err
	}
	return &pb.IngestServiceCancelRegistrationResponse{
		RegistrationId: id.String(), Position: position(at), StatusUrl: d.server.cfg.ViewsURL + registrationPath(id),
	}, nil
}

type batchStream = connect.BidiStream[pb.IngestServiceRegisterBatchRequest, pb.IngestServiceRegisterBatchResponse]

// RegisterBatch implements IngestServiceHandler.
func (d *rpcDoor) RegisterBatch(ctx context.Context, in *batchStream) error {
	control, ok := ctx.Value(controlKey{}).(*http.ResponseController)
	if !ok {
		return fmt.Errorf("the stream came without its response controller")
	}
	return d.server.pipeline(ctx, callerOf(ctx), &rpcBatch{door: d, stream: in, control: control})
}

// rpcBatch is a batch over gRPC and Connect.
type rpcBatch struct {
	door    *rpcDoor
	stream  *batchStream
	control *http.ResponseController
}

func (b *rpcBatch) next() (string, *order, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(b.door.server.cfg.BatchIdleMax))
	if b.door.server.stopping() {
		return "", nil, context.Canceled
	}
	msg, err := b.stream.Receive()
	if err != nil {
		return "", nil, err
	}
	return msg.GetRegistration().GetIdempotencyKey(), orderOf(msg.GetRegistration()), nil
}

func (b *rpcBatch) accepted(index uint64, id uuid.UUID, at stream.Position) error {
	return b.stream.Send(&pb.IngestServiceRegisterBatchResponse{
		Index: index, Answer: &pb.IngestServiceRegisterBatchResponse_Accepted{Accepted: b.door.registered(id, at)},
	})
}

func (b *rpcBatch) refused(index uint64, p *problem.Problem) error {
	return b.stream.Send(&pb.IngestServiceRegisterBatchResponse{
		Index: index, Answer: &pb.IngestServiceRegisterBatchResponse_Problem{Problem: p.Proto(true)},
	})
}

// flush has nothing to do: every message is sent at once.
func (b *rpcBatch) flush() error { return nil }

func (b *rpcBatch) interrupt() { _ = b.control.SetReadDeadline(time.Now()) }
