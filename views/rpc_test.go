package views

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
	"github.com/eventpro/boxoffice/schemas/boxoffice/v1/boxofficev1connect"
)

// clients returns one client per protocol; gRPC needs HTTP/2 without TLS.
func (b *bench) clients(t *testing.T) map[string]boxofficev1connect.LookupServiceClient {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	h2c := &http.Client{Transport: transport}
	return map[string]boxofficev1connect.LookupServiceClient{
		"connect":      boxofficev1connect.NewLookupServiceClient(http.DefaultClient, b.url),
		"connect JSON": boxofficev1connect.NewLookupServiceClient(h2c, b.url, connect.WithProtoJSON()),
		"connect GET":  boxofficev1connect.NewLookupServiceClient(http.DefaultClient, b.url, connect.WithHTTPGet()),
		"gRPC":         boxofficev1connect.NewLookupServiceClient(h2c, b.url, connect.WithGRPC()),
		"gRPC-Web":     boxofficev1connect.NewLookupServiceClient(http.DefaultClient, b.url, connect.WithGRPCWeb()),
	}
}

func withKey(ctx context.Context, key string) context.Context {
	ctx, info := connect.NewClientContext(ctx)
	info.RequestHeader().Set("Authorization", "Bearer "+key)
	return ctx
}

func asAnswer[T answer](a T, err error) (answer, error) { return a, err }

// A backend speaks gRPC and a browser REST: both see the same.
func TestRPCAnswersEqualREST(t *testing.T) {
	t.Parallel()
	b := newBench(t).listen(t)
	type look func(context.Context, boxofficev1connect.LookupServiceClient) (answer, error)
	looks := map[string]look{
		"registration": func(ctx context.Context, c boxofficev1connect.LookupServiceClient) (answer, error) {
			return asAnswer(c.GetRegistration(ctx, &pb.LookupServiceGetRegistrationRequest{RegistrationId: registrationID.String()}))
		},
		"payment": func(ctx context.Context, c boxofficev1connect.LookupServiceClient) (answer, error) {
			return asAnswer(c.GetPayment(ctx, &pb.LookupServiceGetPaymentRequest{PaymentId: paymentID.String()}))
		},
		"event": func(ctx context.Context, c boxofficev1connect.LookupServiceClient) (answer, error) {
			return asAnswer(c.GetEvent(ctx, &pb.LookupServiceGetEventRequest{EventId: eventID.String()}))
		},
		"events": func(ctx context.Context, c boxofficev1connect.LookupServiceClient) (answer, error) {
			return asAnswer(c.ListEvents(ctx, &pb.LookupServiceListEventsRequest{}))
		},
		"availability": func(ctx context.Context, c boxofficev1connect.LookupServiceClient) (answer, error) {
			return asAnswer(c.GetAvailability(ctx, &pb.LookupServiceGetAvailabilityRequest{EventId: eventID.String()}))
		},
		"attendee_registrations": func(ctx context.Context, c boxofficev1connect.LookupServiceClient) (answer, error) {
			return asAnswer(c.ListAttendeeRegistrations(ctx, &pb.LookupServiceListAttendeeRegistrationsRequest{AttendeeId: attendeeID.String()}))
		},
	}
	for protocol, client := range b.clients(t) {
		for name, path := range paths() {
			_, _, want := b.get(t, ownKey, path)
			a, err := looks[name](withKey(t.Context(), ownKey), client)
			if err != nil {
				t.Errorf("%s over %s: %v", name, protocol, err)
				continue
			}
			if got := string(appendAnswer(nil, a)); got != want {
				t.Errorf("%s over %s:\n got %s\nREST %s", name, protocol, got, want)
			}
		}
	}
}

// Errors keep their meaning, their stable code and the freshness over every
// protocol.
func TestRPCErrors(t *testing.T) {
	t.Parallel()
	b := newBench(t).listen(t)
	for protocol, client := range b.clients(t) {
		get := func(key, id string, wait *pb.Position) error {
			_, err := client.GetRegistration(withKey(t.Context(), key),
				&pb.LookupServiceGetRegistrationRequest{RegistrationId: id, WaitFor: wait, TimeoutMs: 5})
			return err
		}
		own := registrationID.String()
		far := &pb.Position{Topic: "registration-commands", Partition: partitionOf(registrationID), Offset: 1000}
		for _, tc := range []struct {
			name string
			err  error
			code connect.Code
			word string
		}{
			{"no such key", get("wrong", own, nil), connect.CodeUnauthenticated, "api_key_unknown"},
			{"no scope", get(writeKey, own, nil), connect.CodePermissionDenied, "scope_missing"},
			{"not a UUID", get(ownKey, "17", nil), connect.CodeInvalidArgument, "invalid_parameter"},
			{"unknown", get(ownKey, uuid.NewString(), nil), connect.CodeNotFound, "registration_unknown"},
			{"foreign", get(foreignKey, own, nil), connect.CodeNotFound, "registration_unknown"},
			{"not yet visible", get(ownKey, own, far), connect.CodeDeadlineExceeded, "wait_timed_out"},
		} {
			var e *connect.Error
			if !errors.As(tc.err, &e) || e.Code() != tc.code {
				t.Errorf("%s over %s: %v", tc.name, protocol, tc.err)
				continue
			}
			details := map[string]proto.Message{}
			for _, d := range e.Details() {
				if m, err := d.Value(); err == nil {
					details[d.Type()] = m
				}
			}
			if p, ok := details["boxoffice.v1.ProblemDetail"].(*pb.ProblemDetail); !ok || p.GetCode() != tc.word {
				t.Errorf("%s over %s: details %v", tc.name, protocol, details)
			}
			if _, ok := details["boxoffice.v1.LookupFreshness"]; ok != (tc.code == connect.CodeNotFound || tc.code == connect.CodeDeadlineExceeded) {
				t.Errorf("%s over %s: details %v", tc.name, protocol, details)
			}
		}
	}
}

// A backend follows a registration over a server stream, and resumes above the
// version it has.
func TestRPCWatch(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"connect", "gRPC", "gRPC-Web"} {
		b := newBench(t).listen(t)
		b.registrations.put(registrationID.String(), at(pb.Step_STEP_CHARGING, 3))
		watch, err := b.clients(t)[protocol].WatchRegistration(withKey(t.Context(), ownKey),
			&pb.LookupServiceWatchRegistrationRequest{RegistrationId: registrationID.String(), AfterVersion: 2})
		if err != nil {
			t.Fatal(err)
		}
		var versions []uint64
		for watch.Receive() {
			versions = append(versions, watch.Msg().GetRegistration().GetVersion())
			if len(versions) == 1 {
				b.registrations.put(registrationID.String(), confirmed())
			}
		}
		if err := watch.Err(); err != nil || len(versions) != 2 || versions[0] != 3 || versions[1] != 6 {
			t.Errorf("%s: versions %v, error %v", protocol, versions, err)
		}
	}
}
