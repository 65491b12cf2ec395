package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/load"
	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/topicreader"
	"github.com/eventpro/boxoffice/internal/topology"
	"github.com/eventpro/boxoffice/internal/wire"
	pb "github.com/eventpro/boxoffice/schemas/boxoffice/v1"
)

// Counts is what the oracle counted itself, against the sources and with none of
// the parts' own figures.
type Counts struct {
	// Accepted are the registrations whose clients were told 202.
	Accepted int64 `json:"accepted"`
	// Unheard are those that exist though no client was told: the answer was lost
	// and the client gave up. They may exist, once.
	Unheard int64 `json:"unheard"`
	// Lost were accepted and have no decision.
	Lost int64 `json:"lost"`
	// Doubled have two decisions, two captures of their payment, or share their
	// idempotency key with another registration.
	Doubled int64 `json:"doubled"`
	// Stuck are decided and not settled.
	Stuck int64 `json:"stuck"`
	// DeadLetters are records that could not be handled.
	DeadLetters int64 `json:"dead_letters"`
	// Examples are the first of what is wrong.
	Examples []string `json:"examples,omitempty"`
}

const examplesMax = 10

func (c *Counts) wrong(n *int64, format string, args ...any) {
	*n++
	if len(c.Examples) < examplesMax {
		c.Examples = append(c.Examples, fmt.Sprintf(format, args...))
	}
}

// fate is what registration-events say of a registration.
type fate struct {
	accepted, settled bool
	outcome           pb.Outcome
	contradicted      bool // decided twice
}

// see takes one version into account. A confirmed registration may be cancelled
// by its owner, which is a decision of its own; nothing else ever changes.
func (f *fate) see(outcome pb.Outcome, settled bool) {
	cancelled := f.outcome == pb.Outcome_OUTCOME_CONFIRMED && outcome == pb.Outcome_OUTCOME_CANCELLED
	if f.outcome != pb.Outcome_OUTCOME_UNSPECIFIED && outcome != f.outcome && !cancelled {
		f.contradicted = true
	}
	f.outcome, f.settled = outcome, settled
}

// audit counts what was lost, doubled and stuck. accepted are files of what
// clients were told.
func audit(ctx context.Context, s *System, accepted []string) (Counts, error) {
	var c Counts
	fates := map[uuid.UUID]*fate{}
	for _, file := range accepted {
		if err := readAccepted(file, s.Organiser, fates, &c); err != nil {
			return c, err
		}
	}
	if err := readDecisions(ctx, s.Brokers, fates); err != nil {
		return c, err
	}
	for id, f := range fates {
		switch {
		case f.outcome == pb.Outcome_OUTCOME_UNSPECIFIED && f.accepted:
			c.wrong(&c.Lost, "registration %s was accepted and is not decided", id)
		case !f.settled:
			c.wrong(&c.Stuck, "registration %s is not settled", id)
		case f.contradicted:
			c.wrong(&c.Doubled, "registration %s was decided twice", id)
		}
		if f.accepted {
			c.Accepted++
		} else {
			c.Unheard++
		}
	}
	return c, readCaptures(ctx, s.ProviderURL, &c)
}

// readAccepted reads a file of what clients were told. The id that was answered
// must be the one that follows from the key: another one would be a second
// registration of one order.
func readAccepted(path, organiser string, fates map[uuid.UUID]*fate, c *Counts) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading what was accepted: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var a load.Accepted
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return fmt.Errorf("reading what was accepted: %s: %w", path, err)
		}
		if want := topology.RegistrationID(organiser, a.IdempotencyKey); a.RegistrationID != want {
			c.wrong(&c.Doubled, "key %s was answered with registration %s instead of %s", a.IdempotencyKey, a.RegistrationID, want)
		}
		fates[a.RegistrationID] = &fate{accepted: true}
	}
	return lines.Err()
}

// The fields of boxoffice.v1.Registration that are read.
const (
	fieldRegistrationID = 2
	fieldOutcome        = 11
	fieldSettled        = 13
)

// readDecisions reads registration-events, committed records only, from the
// first to the last.
func readDecisions(ctx context.Context, brokers []string, fates map[uuid.UUID]*fate) error {
	var mu sync.Mutex // records of several partitions come at the same time
	reader := topicreader.Reader{Brokers: brokers}
	return reader.ReadAll(ctx, topology.RegistrationEvents, func(r *kgo.Record) error {
		var id uuid.UUID
		var outcome pb.Outcome
		settled := false
		err := wire.Scan(r.Value, func(f wire.Field) {
			switch f.ID {
			case fieldRegistrationID:
				id, _ = uuid.FromBytes(f.Bytes) // none: the verification names the record
			case fieldOutcome:
				outcome = pb.Outcome(f.Number)
			case fieldSettled:
				settled = f.Number != 0
			}
		})
		if err != nil {
			return fmt.Errorf("%s/%d at offset %d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		mu.Lock()
		defer mu.Unlock()
		f := fates[id]
		if f == nil {
			f = &fate{}
			fates[id] = f
		}
		f.see(outcome, settled)
		return nil
	})
}

// readCaptures reads the provider's ledger: one capture for each payment.
func readCaptures(ctx context.Context, url string, c *Counts) error {
	captured := map[string]string{}
	return provider.ReadLedger(ctx, url, func(e provider.Entry) error {
		if e.Kind != provider.KindCharge {
			return nil
		}
		if first, twice := captured[e.PaymentReference]; twice {
			c.wrong(&c.Doubled, "payment %s was captured twice: charges %s and %s", e.PaymentReference, first, e.ID)
		}
		captured[e.PaymentReference] = e.ID
		return nil
	})
}
