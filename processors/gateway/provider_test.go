package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/topology"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// startProvider runs the simulated provider until the test ends.
func startProvider(t testing.TB, b provider.Behaviour) (url string) {
	t.Helper()
	p, err := provider.Open(provider.Options{
		Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Behaviour: b,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return "http://" + p.Addr()
}

func ledger(t testing.TB, url string) []provider.Entry {
	t.Helper()
	res, err := http.Get(url + "/v1/ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var entries []provider.Entry
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		var e provider.Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	return entries
}

// untilDefinite sends a request again and again, as the payment's alarm does.
func untilDefinite(t *testing.T, b *bench, r *pb.GatewayRequest) (result *pb.GatewayResult, unknowns int) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		if result = b.send(t, r); result.Outcome != isUnknown {
			return result, unknowns
		}
		unknowns++
		r.Attempt++
	}
	t.Fatalf("still unknown: %v", result)
	return nil, 0
}

// A charge and a refund in parts, as the provider's own ledger has them.
func TestProvider(t *testing.T) {
	t.Parallel()
	url := startProvider(t, provider.Behaviour{})
	b := newBench(t, url, nil)
	charge := b.send(t, chargeRequest())
	if charge.Outcome != isCaptured || charge.AmountMinor != 12_900 || charge.FeeMinor != provider.DefaultFee.Of(12_900) {
		t.Fatalf("%v", charge)
	}
	refund := refundRequest()
	refund.ProviderReference = charge.ProviderReference
	back := b.send(t, refund)
	if back.Outcome != isRefunded || back.AmountMinor != 4_000 {
		t.Fatalf("%v", back)
	}
	if again := b.send(t, refund); again.ProviderReference != back.ProviderReference || again.ProviderTimeUnixMs != back.ProviderTimeUnixMs {
		t.Fatalf("the repeated refund is another one:\n%v\n%v", back, again)
	}
	for _, q := range []struct {
		request *pb.GatewayRequest
		want    *pb.GatewayResult
	}{{query(chargeRequest()), charge}, {query(refundRequest()), back}} {
		got := b.send(t, q.request)
		if got.Outcome != q.want.Outcome || got.ProviderReference != q.want.ProviderReference || got.ProviderTimeUnixMs != q.want.ProviderTimeUnixMs {
			t.Fatalf("the query says %v, the call said %v", got, q.want)
		}
	}
	entries := ledger(t, url)
	if len(entries) != 2 || entries[0].Reference != payment.String() || entries[0].Metadata["event_id"] != topology.KeyOf(event[:]) ||
		entries[1].PaymentReference != payment.String() || entries[0].At.UnixMilli() != charge.ProviderTimeUnixMs {
		t.Fatalf("the ledger has %+v", entries)
	}
}

// Refunds of more than is left, and what the provider cannot read, are for a
// person or for the customer, never unknown for ever.
func TestProviderRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, startProvider(t, provider.Behaviour{}), nil)
	refund := refundRequest()
	refund.ProviderReference, refund.AmountMinor = b.send(t, chargeRequest()).ProviderReference, 12_901
	if r := b.send(t, refund); r.Outcome != isImpossible || r.DeclineCode != "refund_exceeds_charge" {
		t.Fatalf("%v", r)
	}
	other := chargeRequest()
	other.AmountMinor++
	if r := b.send(t, other); r.Outcome != isImpossible || r.DeclineCode != codeKeyReused {
		t.Fatalf("%v", r)
	}
	without := chargeRequest()
	without.Method = ""
	if r := b.send(t, without); r.Outcome != isDeclined || r.DeclineCode != "invalid_request" {
		t.Fatalf("%v", r)
	}
}

// A declining provider declines, and says the same when it is asked again.
func TestProviderDeclines(t *testing.T) {
	t.Parallel()
	b := newBench(t, startProvider(t, provider.Behaviour{DeclineRate: 1}), nil)
	first, again, asked := b.send(t, chargeRequest()), b.send(t, chargeRequest()), b.send(t, query(chargeRequest()))
	if first.Outcome != isDeclined || first.DeclineCode == "" || again.DeclineCode != first.DeclineCode || asked.DeclineCode != first.DeclineCode {
		t.Fatalf("%v\n%v\n%v", first, again, asked)
	}
}

// Trace 5: the charge is applied after its caller has given up, and denied
// meanwhile. Repeating it ends in the one capture (I3).
func TestProviderAppliesLate(t *testing.T) {
	t.Parallel()
	url := startProvider(t, provider.Behaviour{TimeoutAfterApplyRate: 1, LateMS: 150, NotFoundMeanwhile: true})
	b := newBench(t, url, func(c *Config) { c.Timeout = 50 * time.Millisecond })
	if r := b.send(t, chargeRequest()); r.Outcome != isUnknown || r.Detail != causeTimeout {
		t.Fatalf("%v", r)
	}
	if r := b.send(t, query(chargeRequest())); r.Outcome != isUnknown && r.Outcome != isCaptured {
		t.Fatalf("%v", r)
	}
	r, _ := untilDefinite(t, b, chargeRequest())
	if r.Outcome != isCaptured {
		t.Fatalf("%v", r)
	}
	if entries := ledger(t, url); len(entries) != 1 {
		t.Fatalf("I3: the ledger has %+v", entries)
	}
}

// The provider fails half of all attempts: in the end every payment is captured once.
func TestProviderFailsOften(t *testing.T) {
	t.Parallel()
	url := startProvider(t, provider.Behaviour{Seed: 7, ErrorRate: 0.5})
	b := newBench(t, url, func(c *Config) { c.Tries = 1 })
	unknowns := 0
	for i := range 20 {
		r := chargeRequest()
		id := topology.PaymentID(topology.RegistrationID("organiser", string(rune('a'+i))))
		r.PaymentId, r.IdempotencyKey = id[:], id[:]
		result, n := untilDefinite(t, b, r)
		if result.Outcome != isCaptured {
			t.Fatalf("%v", result)
		}
		unknowns += n
	}
	if entries := ledger(t, url); len(entries) != 20 || unknowns == 0 {
		t.Fatalf("%d captures of 20 payments after %d unknown outcomes", len(entries), unknowns)
	}
}

// The provider is away: unknown, never a refusal.
func TestProviderAway(t *testing.T) {
	t.Parallel()
	b := newBench(t, startProvider(t, provider.Behaviour{Away: true}), nil)
	if r := b.send(t, chargeRequest()); r.Outcome != isUnknown {
		t.Fatalf("%v", r)
	}
}
