package chaos

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// healthTimeout is how long a role may take to say that it is well.
const healthTimeout = time.Second

// health knows which roles work.
type health struct {
	system *System
	groups *groups
	client *http.Client
}

func newHealth(s *System, g *groups) *health {
	return &health{s, g, &http.Client{
		Timeout: healthTimeout,
		// A connection to a process that was killed is of no use to the next one.
		Transport: &http.Transport{DisableKeepAlives: true},
	}}
}

// unready returns the roles that do not work, each with the reason: it does not
// run, does not say that it is ready, or has no partitions of its group.
func (h *health) unready(ctx context.Context) []string {
	var mu sync.Mutex
	var found []string
	note := func(r *Role, err error) {
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			found = append(found, fmt.Sprintf("%s (%v)", r.Name, err))
		}
	}
	members, groupsErr := h.groups.allMembers(ctx, h.groups.names...)
	var asked sync.WaitGroup
	for _, r := range h.system.Roles {
		if r.Group != "" && groupsErr == nil && members[r.Group][r.Member] == 0 {
			note(r, fmt.Errorf("it has no partitions"))
			continue
		}
		asked.Go(func() { note(r, h.ask(ctx, r, groupsErr)) })
	}
	asked.Wait()
	slices.Sort(found)
	return found
}

// ask asks one role. brokers is what came of asking the brokers.
func (h *health) ask(ctx context.Context, r *Role, brokers error) error {
	state := r.Process.State()
	switch {
	case state.PID == 0:
		return fmt.Errorf("it does not run")
	case !state.Ready:
		return fmt.Errorf("it is starting")
	}
	switch r.Name {
	case Kafka:
		return brokers
	case ClickHouse:
		return h.get(ctx, h.system.ClickHouseURL+"/ping")
	case Provider:
		return h.get(ctx, h.system.ProviderURL+"/readyz")
	}
	return h.get(ctx, r.metricsURL()+"/readyz")
}

func (h *health) get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := h.client.Do(req)
	if err != nil {
		return fmt.Errorf("it does not answer")
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", res.Status)
	}
	return nil
}
