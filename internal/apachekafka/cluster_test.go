//go:build apachekafka

package apachekafka

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/eventpro/boxoffice/internal/embedded/ports"
)

const (
	// nodes are brokers and controllers at once.
	nodes = 3
	// patience bounds each wait.
	patience = 2 * time.Minute
)

// cluster is three processes of Apache Kafka.
type cluster struct {
	t       *testing.T
	libs    string // the jars
	dir     string
	ports   []int // of the brokers, then of the controllers
	running [nodes]*exec.Cmd
	client  *kgo.Client
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	libs := os.Getenv("BOXOFFICE_KAFKA_LIBS")
	if libs == "" {
		t.Fatal("BOXOFFICE_KAFKA_LIBS does not say where Kafka's jars are: `make test-kafka` brings them and runs these tests")
	}
	c := &cluster{t: t, libs: filepath.Join(libs, "*"), dir: t.TempDir()}
	var err error
	if c.ports, err = ports.Steady(2 * nodes); err != nil {
		t.Fatal(err)
	}
	id := base64.RawURLEncoding.EncodeToString([]byte("boxoffice's test"))
	var formatted errgroup.Group
	for n := range nodes {
		c.configure(n)
		formatted.Go(func() error { return c.format(n, id) })
	}
	if err := formatted.Wait(); err != nil {
		t.Fatal(err)
	}
	if c.client, err = kgo.NewClient(kgo.SeedBrokers(c.brokers()...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.client.Close)
	for n := range nodes {
		c.start(n)
	}
	c.await("all brokers are there", func(ctx context.Context) error {
		request := kmsg.NewPtrMetadataRequest() // kadm would answer from what it knows
		request.Topics = []kmsg.MetadataRequestTopic{}
		answer, err := request.RequestWith(ctx, c.client)
		if err == nil && len(answer.Brokers) != nodes {
			err = fmt.Errorf("%d are", len(answer.Brokers))
		}
		return err
	})
	return c
}

func (c *cluster) brokers() []string {
	var found []string
	for n := range nodes {
		found = append(found, loopback(c.ports[n]))
	}
	return found
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (c *cluster) file(n int, extension string) string {
	return filepath.Join(c.dir, fmt.Sprintf("node-%d.%s", n+1, extension))
}

// configure writes a node's properties: those of a small production cluster, with
// timeouts that a test has the time for.
func (c *cluster) configure(n int) {
	c.t.Helper()
	var voters []string
	for i := range nodes {
		voters = append(voters, fmt.Sprintf("%d@%s", i+1, loopback(c.ports[nodes+i])))
	}
	lines := []string{
		"process.roles=broker,controller",
		fmt.Sprintf("node.id=%d", n+1),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		"controller.listener.names=CONTROLLER",
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		fmt.Sprintf("listeners=PLAINTEXT://%s,CONTROLLER://%s", loopback(c.ports[n]), loopback(c.ports[nodes+n])),
		"log.dirs=" + c.file(n, "data"),
		"auto.create.topics.enable=false",
		"min.insync.replicas=2", "add.partitions.to.txn.retry.backoff.ms=1",
		"offsets.topic.replication.factor=3", "offsets.topic.num.partitions=3",
		"transaction.state.log.replication.factor=3", "transaction.state.log.min.isr=2", "transaction.state.log.num.partitions=3",
		"broker.session.timeout.ms=3000", "broker.heartbeat.interval.ms=500",
		"group.min.session.timeout.ms=100", "group.initial.rebalance.delay.ms=0",
	}
	if err := os.WriteFile(c.file(n, "properties"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// format makes a node's storage.
func (c *cluster) format(n int, id string) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "java", "-cp", c.libs, "kafka.tools.StorageTool", "format", "--cluster-id", id, "--config", c.file(n, "properties"))
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w (these tests need a JDK):\n%s", err, said)
	}
	return nil
}

// start starts a node, which goes on with what it has on its disk.
func (c *cluster) start(n int) {
	c.t.Helper()
	log, err := os.OpenFile(c.file(n, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("java", "-Xms128m", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", c.libs, "kafka.Kafka", c.file(n, "properties"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.running[n] = cmd
	c.t.Cleanup(func() { c.end(cmd) })
	c.t.Cleanup(func() {
		if c.t.Failed() {
			said, _ := os.ReadFile(c.file(n, "log"))
			c.t.Logf("node %d says:\n%s", n+1, said[max(0, len(said)-4_000):])
		}
	})
}

// kill is kill -9.
func (c *cluster) kill(n int) { c.end(c.running[n]) }

func (c *cluster) end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// inSync waits until that many replicas of every partition are in sync.
func (c *cluster) inSync(replicas int) {
	c.t.Helper()
	c.await(fmt.Sprintf("%d replicas of each partition are in sync", replicas), func(ctx context.Context) error {
		answer, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, c.client) // of all topics
		if err != nil {
			return err
		}
		for _, topic := range answer.Topics {
			for _, p := range topic.Partitions {
				if len(p.ISR) != replicas || p.Leader < 0 {
					return fmt.Errorf("%s/%d has %v, led by %d", *topic.Topic, p.Partition, p.ISR, p.Leader)
				}
			}
		}
		return nil
	})
}

func (c *cluster) await(what string, ok func(context.Context) error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			c.t.Fatalf("%s: not within %v: %v", what, patience, err)
		case <-tick.C:
		}
	}
}
