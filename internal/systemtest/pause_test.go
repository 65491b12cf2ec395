package systemtest

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/eventpro/boxoffice/client"
	"github.com/eventpro/boxoffice/internal/topology"
)

// join starts one more member of a group and waits until it is ready.
func (s *system) join(t *testing.T, group string) {
	t.Helper()
	port := freePorts(t, 1)[0]
	cmd := exec.Command(binary, "process", group, "--member", "other", "--kafka-brokers", strings.Join(s.brokers(), ","),
		"--data-dir", filepath.Join(t.TempDir(), group), "--metrics-addr", loopback(port), "--provider-url", url(s.provider))
	other := launchCommand(t, s.layout, cmd, nil)
	eventually(t, "the other member of "+group+" is ready", func() error {
		res, err := http.Get(url(port) + "/readyz")
		if err != nil {
			return fmt.Errorf("%w\n%s", err, other.output)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("answered %s\n%s", res.Status, other.output)
		}
		return nil
	})
}

// A member of each group is paused in the middle of its work until the others
// have taken its partitions over, and then goes on where it thought it was:
// nothing that it still writes counts, and seats and money are exact (I5).
func TestPausedOwner(t *testing.T) {
	t.Parallel()
	s := start(t, newLayout(t), "--processes")
	groups := []string{topology.Registrations.Name, topology.Inventory.Name, topology.Payments.Name, topology.Gateway.Name}
	for _, group := range groups {
		s.join(t, group)
	}
	event := s.newEvent(t, "paused", 100_000)
	l := startLoad(t, func() *system { return s }, event, "paused", 4)
	l.awaitAnswered(t, 200)
	for _, group := range groups {
		s.signal(t, group, syscall.SIGSTOP)
	}
	// An order for every partition shows that all of them have new owners.
	orders := make([]*client.Order, 4*topology.EmbeddedPartitions)
	for i := range orders {
		orders[i] = order(event, "while-paused-"+strconv.Itoa(i))
	}
	found := s.registerAll(t, 4, orders)
	if n := count(found, "confirmed"); n != len(orders) {
		t.Errorf("%d of %d orders are confirmed", n, len(orders))
	}
	for _, group := range groups {
		s.signal(t, group, syscall.SIGCONT)
	}
	l.awaitAnswered(t, 300)
	accepted := l.finish(t)
	for _, id := range accepted {
		s.awaitSettled(t, id)
	}
	s.checkBooks(t, accepted)
}
