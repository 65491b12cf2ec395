package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/eventpro/boxoffice/internal/pause"
	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/topology"
)

// misbehaved has the payment provider misbehave for a span and, at least, until
// the gateway has noticed: calls whose outcome it does not know.
func (c *controller) misbehaved(ctx context.Context, how Kind, span time.Duration) (effect, error) {
	usual, err := c.behaviour(ctx, nil)
	if err != nil {
		return effect{}, err
	}
	before, err := c.unknownCalls(ctx)
	if err != nil {
		return effect{}, err
	}
	worse := usual
	switch how {
	case ProviderAway:
		worse.Away = true
	case ProviderLate:
		worse.TimeoutAfterApplyRate, worse.LateMS, worse.NotFoundMeanwhile = .1, 500, true
	case ProviderErrors:
		worse.ErrorRate = .9
	}
	began := time.Now()
	if c.cfg.Break != BreakFaults {
		if _, err := c.behaviour(ctx, &worse); err != nil {
			return effect{}, err
		}
	}
	defer func() {
		// Also when the run was interrupted: it would stay so over a restart.
		again, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		_, _ = c.behaviour(again, &usual)
	}()
	pause.For(ctx, min(span, c.cfg.EffectPatience))
	unknown := int64(0)
	err = await(ctx, c.cfg.EffectPatience, func() error {
		now, err := c.unknownCalls(ctx)
		if unknown = now - before; err == nil && unknown <= 0 {
			err = fmt.Errorf("the gateway knows the outcome of every call")
		}
		return err
	})
	if err != nil {
		return effect{}, err
	}
	if _, err := c.behaviour(ctx, &usual); err != nil {
		return effect{}, err
	}
	return effect{
		evidence: fmt.Sprintf("%s of unknown outcome within %s", count(int(unknown), "call", "calls"), seconds(time.Since(began))),
		healed:   time.Now(),
	}, nil
}

// behaviour returns the provider's behaviour, after it was set when one is given.
func (c *controller) behaviour(ctx context.Context, set *provider.Behaviour) (b provider.Behaviour, err error) {
	method, body := http.MethodGet, []byte(nil)
	if set != nil {
		method = http.MethodPut
		if body, err = json.Marshal(set); err != nil {
			return b, err
		}
	}
	answer, err := fetch(ctx, method, c.system.ProviderURL+"/v1/behaviour", body)
	if err != nil {
		return b, fmt.Errorf("the provider's behaviour: %w", err)
	}
	return b, json.Unmarshal(answer, &b)
}

// unknownCalls counts the calls of the gateway's members whose outcome is unknown.
func (c *controller) unknownCalls(ctx context.Context) (total int64, err error) {
	for _, r := range c.system.Roles {
		if r.Group != topology.Gateway.Name {
			continue
		}
		text, err := fetch(ctx, http.MethodGet, r.metricsURL()+"/metrics", nil)
		if err != nil {
			return 0, fmt.Errorf("metrics of %s: %w", r.Name, err)
		}
		total += sumOf(text, "boxoffice_gateway_unknown_total")
	}
	return total, nil
}

// sumOf adds up a counter over all its labels, in Prometheus' text format.
func sumOf(text []byte, name string) (total int64) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		series, value, ok := strings.Cut(lines.Text(), "} ")
		if !ok || !strings.HasPrefix(series, name+"{") {
			continue
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			total += int64(n)
		}
	}
	return total
}
