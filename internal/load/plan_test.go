package load

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func plan(t testing.TB, places int, adjust ...func(*Config)) *Plan {
	t.Helper()
	cfg := Config{IngestURL: "http://127.0.0.1:1", APIKey: "k", Brokers: []string{"127.0.0.1:1"}, Places: places, Seed: 7}
	for _, f := range adjust {
		f(&cfg)
	}
	p, err := NewPlan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A sale that does not sell out one of its types proves nothing about overselling:
// each type is asked for about a quarter more than it has, in events of any
// size and for any seed.
func TestEveryTypeIsInDemand(t *testing.T) {
	t.Parallel()
	for _, places := range []int{100, 1_000, 5_000, 80_000} {
		for seed := range uint64(5) {
			p := plan(t, places, func(c *Config) { c.Seed = seed })
			if p.Places() != places {
				t.Fatalf("%d places became %d", places, p.Places())
			}
			asked := make([]int, len(p.Types))
			for n := range p.Requests {
				r := p.Request(n)
				for _, l := range r.Lines() {
					asked[l.Type] += l.Quantity
				}
			}
			slack := .06 + 3/math.Sqrt(float64(places)*.15)
			for i, n := range asked {
				if got := float64(n) / float64(p.Types[i].Capacity); math.Abs(got-demand) > slack*demand {
					t.Errorf("%d places, seed %d: %s is asked for %.3f times", places, seed, p.Types[i].ID, got)
				}
			}
		}
	}
}

// The mix of orders is as planned: 80 % one ticket, 15 % two of one type, 5 % one
// each of two types; and about one in a hundred is to be cancelled.
func TestMixOfOrders(t *testing.T) {
	t.Parallel()
	p := plan(t, 80_000)
	kinds, cancels := map[string]int{}, 0
	for n := range p.Requests {
		r := p.Request(n)
		switch lines := r.Lines(); {
		case len(lines) == 2 && lines[0].Type != lines[1].Type && r.Quantity == 2:
			kinds["two types"]++
		case len(lines) == 1 && r.Quantity == 2:
			kinds["two"]++
		case len(lines) == 1 && r.Quantity == 1:
			kinds["one"]++
		default:
			t.Fatalf("request %d: %v", n, r)
		}
		if p.Cancels(n) {
			cancels++
		}
	}
	total := float64(p.Requests)
	for kind, want := range map[string]float64{"one": .80, "two": .15, "two types": .05} {
		if got := float64(kinds[kind]) / total; math.Abs(got-want) > .01 {
			t.Errorf("%s: %.3f, want %.2f", kind, got, want)
		}
	}
	if got := float64(cancels) / total; math.Abs(got-.01) > .002 {
		t.Errorf("cancelled: %.4f", got)
	}
}

// The same seed asks for the same, byte for byte; another seed for something
// else.
func TestPlanIsDeterministic(t *testing.T) {
	t.Parallel()
	a, b, c := plan(t, 1000), plan(t, 1000), plan(t, 1000, func(c *Config) { c.Seed = 8 })
	differs := 0
	for n := range a.Requests {
		ra, rb, rc := a.Request(n), b.Request(n), c.Request(n)
		body := string(a.AppendBody(nil, "e", &ra))
		if body != string(b.AppendBody(nil, "e", &rb)) || ra != rb {
			t.Fatalf("request %d differs", n)
		}
		if ra != rc {
			differs++
		}
	}
	if differs < a.Requests/10 {
		t.Errorf("another seed differs in %d of %d requests", differs, a.Requests)
	}
}

// What is sent is what was planned: the body is JSON with the planned lines, the
// amount is what the front door will work out (tax on top rounded per line).
func TestBodies(t *testing.T) {
	t.Parallel()
	p := plan(t, 1000)
	var event struct {
		Name        string       `json:"name"`
		TicketTypes []TicketType `json:"ticket_types"`
	}
	body, err := p.Event(time.Unix(0, 0))
	if err != nil || json.Unmarshal(body, &event) != nil || event.Name != "National Developer Conference" || !slices.Equal(event.TicketTypes, p.Types) {
		t.Fatalf("event %s: %v", body, err)
	}
	emails := map[string]bool{}
	for n := range p.Requests {
		r := p.Request(n)
		body := append(p.AppendBody([]byte{'{'}, "9d3f6f0e-6b53-5c0e-9a34-1d4c7b1f2a10", &r), '}')
		var order struct {
			EventID  string `json:"event_id"`
			Attendee struct{ Email, Name string }
			Lines    []struct {
				TicketType string `json:"ticket_type"`
				Quantity   int
			}
			Channel       string
			PaymentMethod string `json:"payment_method"`
		}
		decoder := json.NewDecoder(strings.NewReader(string(body)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&order); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		amount := int64(0)
		for i, l := range r.Lines() {
			want := p.Types[l.Type]
			if order.Lines[i].TicketType != want.ID || order.Lines[i].Quantity != l.Quantity {
				t.Fatalf("%s, want %v", body, r)
			}
			amount += map[string]int64{"student": 9_900, "standard": 29_900, "workshop-standard": 53_550}[want.ID] * int64(l.Quantity)
		}
		if amount != r.AmountMinor || !strings.HasPrefix(order.PaymentMethod, "tok_") || emails[order.Attendee.Email] {
			t.Fatalf("%s: amount %d, want %d", body, r.AmountMinor, amount)
		}
		emails[order.Attendee.Email] = true
	}
}

// A free event asks for no money and sends no payment method.
func TestFreePlan(t *testing.T) {
	t.Parallel()
	p := plan(t, 100, func(c *Config) { c.Free = true })
	for n := range p.Requests {
		r := p.Request(n)
		if body := string(p.AppendBody(nil, "e", &r)); r.AmountMinor != 0 || strings.Contains(body, "payment_method") {
			t.Fatalf("%d %s", r.AmountMinor, body)
		}
	}
}

// --registrations scales event and load together, back and forth.
func TestPlacesAndRequests(t *testing.T) {
	t.Parallel()
	for _, requests := range []int{100, 1_000, 83_334, 300_000} {
		if got := RequestsFor(PlacesFor(requests)); got < requests-2 || got > requests+2 {
			t.Errorf("%d requests became %d", requests, got)
		}
	}
}

// A configuration with slips is refused with all of them named.
func TestConfigNamesEverySlip(t *testing.T) {
	t.Parallel()
	_, err := NewPlan(Config{IngestURL: "localhost", Places: 3, Door: "window", Run: "a b", Rate: -1})
	for _, slip := range []string{"URL", "API key", "brokers", "places", "window", "a b", "negative"} {
		if err == nil || !strings.Contains(err.Error(), slip) {
			t.Errorf("%s is not named in %v", slip, err)
		}
	}
}
