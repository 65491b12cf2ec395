package ingest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"testing"

	"connectrpc.com/connect"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
	"github.com/eventpro/boxoffice/schemas/boxoffice/v1/boxofficev1connect"
)

// withKey sends an API key with every call.
type withKey struct {
	http.RoundTripper
	key string
}

func (w withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+w.key)
	return w.RoundTripper.RoundTrip(r)
}

func h2c(key string) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: withKey{&http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{}}, key}}
}

func orderMessage(key string) *pb.IngestServiceRegisterRequest {
	return &pb.IngestServiceRegisterRequest{
		IdempotencyKey: key, EventId: eventID.String(), Attendee: &pb.AttendeeContact{Email: "Ada@example.com", Name: "Ada Lovelace"},
		Lines: []*pb.IngestOrderLine{{TicketType: "standard", Quantity: 2}}, Channel: "web", Region: "eu", PaymentMethod: "tok_visa",
	}
}

func detailOf(t *testing.T, err error) *pb.ProblemDetail {
	t.Helper()
	var e *connect.Error
	if !errors.As(err, &e) || len(e.Details()) != 1 {
		t.Fatalf("error %v has no detail", err)
	}
	v, err := e.Details()[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	return v.(*pb.ProblemDetail)
}

// The same order through REST, gRPC, gRPC-Web and Connect on one port is one
// registration: same id, same digest, same command.
func TestDoorsAgree(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	url, _ := b.listen()
	b.do("POST", "/v1/registrations", orderBody())
	for name, option := range map[string][]connect.ClientOption{
		"grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()}, "connect": nil, "connect-json": {connect.WithProtoJSON()},
	} {
		for _, client := range []*http.Client{h2c(goodKey), {Transport: withKey{http.DefaultTransport, goodKey}}} {
			if name == "grpc" && client.Transport.(withKey).RoundTripper == http.DefaultTransport {
				continue // gRPC needs HTTP/2
			}
			res, err := boxofficev1connect.NewIngestServiceClient(client, url, option...).Register(t.Context(), orderMessage("key-1"))
			if err != nil || res.RegistrationId != registrationID("key-1").String() || res.Position.GetTopic() != "registration-commands" ||
				res.StatusUrl != "http://views/v1/registrations/"+res.RegistrationId {
				t.Errorf("%s: %v, %v", name, res, err)
			}
		}
	}
	records := b.log.all()
	if len(records) != 8 {
		t.Errorf("%d records", len(records))
	}
	first := records[0].value.(*pb.RegistrationCommand)
	for _, r := range records[1:] {
		if cmd := r.value.(*pb.RegistrationCommand); string(cmd.BodyDigest) != string(first.BodyDigest) || r.key != records[0].key {
			t.Errorf("another command: %v", cmd)
		}
	}
}

// Problems travel with their code, their fields and Retry-After; a call without
// the right key is refused.
func TestRPCProblems(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	url, _ := b.listen()
	call := func(key string, req *pb.IngestServiceRegisterRequest) error {
		_, err := boxofficev1connect.NewIngestServiceClient(h2c(key), url, connect.WithGRPC()).Register(context.Background(), req)
		return err
	}
	bad := orderMessage("key-2")
	bad.Lines[0].Quantity = 11
	err := call(goodKey, bad)
	if d := detailOf(t, err); connect.CodeOf(err) != connect.CodeInvalidArgument || d.Code != "invalid_request" || d.Violations[0].Field != "lines[0].quantity" {
		t.Errorf("fields: %v, %v", err, d)
	}
	for key, want := range map[string]string{"nope": "api_key_unknown", readKey: "scope_missing", otherKey: "event_unknown"} {
		if d := detailOf(t, call(key, orderMessage("k"))); d.Code != want {
			t.Errorf("%s: %v", key, d)
		}
	}
	b.log.mu.Lock()
	b.log.fail = func() error { return errors.New("away") }
	b.log.mu.Unlock()
	err = call(goodKey, orderMessage("k"))
	if d := detailOf(t, err); connect.CodeOf(err) != connect.CodeUnavailable || d.Code != "kafka_unavailable" || d.RetryAfterSeconds == 0 {
		t.Errorf("Kafka away: %v, %v", err, d)
	}
	if got := gathered(t, b.registry, `boxoffice_ingest_requests_total{code="503",route="/boxoffice.v1.IngestService/Register"}`); got != 1 {
		t.Errorf("counted %v", got)
	}
}

// The other calls reach the same commands as REST.
func TestRPCCommands(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	url, _ := b.listen()
	c := boxofficev1connect.NewIngestServiceClient(h2c(goodKey), url)
	event, err := c.CreateEvent(t.Context(), &pb.IngestServiceCreateEventRequest{
		IdempotencyKey: "e", Name: "E", Currency: "EUR", StartsAtUnixMs: saleEnd.UnixMilli(),
		TicketTypes: []*pb.IngestTicketType{{Id: "a", PriceMinor: 1, Capacity: 5, TaxRateBp: 5, TaxMode: pb.TaxMode_TAX_MODE_ON_TOP}},
	})
	if err != nil || event.OnSale || event.Position == nil {
		t.Errorf("create: %v, %v", event, err)
	}
	if _, err := c.SetCapacity(t.Context(), &pb.IngestServiceSetCapacityRequest{EventId: eventID.String(), TicketType: "vip", Capacity: 3}); err != nil {
		t.Error(err)
	}
	if _, err := c.CancelEvent(t.Context(), &pb.IngestServiceCancelEventRequest{EventId: eventID.String()}); err != nil {
		t.Error(err)
	}
	if _, err := c.CancelRegistration(t.Context(), &pb.IngestServiceCancelRegistrationRequest{IdempotencyKey: "c", RegistrationId: registrationID("k").String(), Lines: []uint32{1}}); err != nil {
		t.Error(err)
	}
	if _, err := c.CancelEvent(t.Context(), &pb.IngestServiceCancelEventRequest{EventId: "42"}); detailOf(t, err).Code != "invalid_request" {
		t.Error(err)
	}
	records := b.log.all()
	if len(records) != 4 || records[0].value.(*pb.CatalogCommand).GetCreateEvent().TicketTypes[0].TaxMode != pb.TaxMode_TAX_MODE_ON_TOP ||
		records[1].value.(*pb.CatalogCommand).GetSetCapacity().Capacity != 3 || records[2].value.(*pb.CatalogCommand).GetCancelEvent() == nil ||
		len(records[3].value.(*pb.RegistrationCommand).GetCancel().Lines) != 1 {
		t.Errorf("records %v", records)
	}
}

// A batch over gRPC: answers in order while the stream is open, a bad order does
// not end it, and a stopping server says where to go on.
func TestRPCBatch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	url, stop := b.listen()
	stream, err := boxofficev1connect.NewIngestServiceClient(h2c(goodKey), url, connect.WithGRPC()).RegisterBatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bad := orderMessage("bad")
	bad.EventId = ""
	for i, req := range []*pb.IngestServiceRegisterRequest{orderMessage("a"), bad, nil, orderMessage("c")} {
		if err := stream.Send(&pb.IngestServiceRegisterBatchRequest{Registration: req}); err != nil {
			t.Fatal(err)
		}
		res, err := stream.Receive()
		if err != nil {
			t.Fatal(err)
		}
		accepted := res.GetAccepted().GetRegistrationId() == registrationID(req.GetIdempotencyKey()).String()
		if res.Index != uint64(i) || accepted != (i == 0 || i == 3) || accepted == (res.GetProblem() != nil) {
			t.Errorf("answer %v", res)
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	res, err := stream.Receive()
	if err != nil || res.Index != 4 || res.GetProblem().GetCode() != "shutting_down" || res.GetProblem().GetDetail() == "" {
		t.Errorf("at the stop: %v, %v", res, err)
	}
	_ = stream.CloseRequest()
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("after the stop: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
