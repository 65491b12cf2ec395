package simulation

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/transition"
	"github.com/eventpro/boxoffice/processors/gateway"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// caller is the real gateway, whose calls go to the provider of the run at hand.
// It is made once for each worker, because it brings its own metrics.
type caller struct {
	handle func(context.Context, *transition.Message) ([]transition.Output, error)
	stage  *stage
	w      *world
	fresh  int // keys made; only a broken gateway does
}

func newCaller() (*caller, error) {
	c := &caller{}
	s, err := gateway.New(gateway.Config{
		BaseURL: "http://provider", Transport: c, Clock: c.clock,
		// One try, and a breaker that never opens: pauses would take real time.
		Tries: 1, BreakerCalls: math.MaxInt32, Timeout: time.Hour,
	})
	if err != nil {
		return nil, fmt.Errorf("simulation: %w", err)
	}
	c.handle = s.Handle
	return c, nil
}

// RoundTrip implements http.RoundTripper.
func (c *caller) RoundTrip(r *http.Request) (*http.Response, error) {
	if end := c.w.broken.freshKeys; end != "" && strings.HasSuffix(r.URL.Opaque, end) {
		c.fresh++
		r.Header.Set("Idempotency-Key", fmt.Sprint(r.Header.Get("Idempotency-Key"), c.fresh))
	}
	return c.w.provider.RoundTrip(r)
}

func (c *caller) clock() time.Time { return millis(c.stage.clock()) }

// call brings one request to the provider.
func (w *world) call(s *stage, items []*item) bool {
	it := items[0]
	w.caller.w, w.caller.stage = w, s
	if it.bad != nil {
		return true
	}
	request, _ := it.message.Value.(*pb.GatewayRequest)
	w.tell(s.name, "calls: %v of %s, attempt %d", request.GetOperation(), nick(it.record.key), request.GetAttempt())
	outputs, err := w.broken.gateway(w, w.caller.handle)(context.Background(), &it.message)
	if err != nil {
		if _, poison := transition.AsPoison(err); !poison {
			w.fail("error", "the gateway failed: %v", err)
		}
		return true
	}
	it.outputs = outputs
	return true
}

// publishResults writes what the provider answered.
func (s *stage) publishResults(it *item) {
	for _, o := range it.outputs {
		value, err := proto.Marshal(o.Value)
		if err != nil {
			panic(err)
		}
		if r, ok := o.Value.(*pb.GatewayResult); ok {
			s.w.tell("gateway", "publishes %v for %s", r.Outcome, nick(o.Key))
		}
		s.w.broker.plain(o.Topic, o.Key, value, s.clock())
	}
}

var groupRegistrations = topology.Registrations.Name
