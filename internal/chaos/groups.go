package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
)

// groups asks the brokers about consumer groups.
type groups struct {
	client *kgo.Client
	admin  *kadm.Client
	names  []string
}

// askTimeout bounds one question; brokers may be stopped.
const askTimeout = 2 * time.Second

func openGroups(brokers []string) (*groups, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.RequestRetries(0), kgo.DialTimeout(time.Second),
	)
	if err != nil {
		return nil, fmt.Errorf("ask about groups: %w", err)
	}
	g := &groups{client: client, admin: kadm.NewClient(client)}
	for _, group := range topology.Groups() {
		g.names = append(g.names, group.Name)
	}
	return g, nil
}

func (g *groups) close() { g.client.Close() }

// members are the static ids of a group's members, each with how many partitions
// of the group's first input it has.
func (g *groups) members(ctx context.Context, group string) (map[string]int, error) {
	all, err := g.allMembers(ctx, group)
	return all[group], err
}

func (g *groups) allMembers(ctx context.Context, names ...string) (map[string]map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	described, err := g.admin.DescribeGroups(ctx, names...)
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]int{}
	for _, d := range described {
		if d.Err != nil && !errors.Is(d.Err, kerr.GroupIDNotFound) {
			return nil, d.Err
		}
		members := map[string]int{}
		for _, m := range d.Members {
			if m.InstanceID == nil {
				continue
			}
			n := 0
			if assigned, ok := m.Assigned.AsConsumer(); ok && len(assigned.Topics) > 0 {
				n = len(assigned.Topics[0].Partitions)
			}
			members[*m.InstanceID] = n
		}
		all[d.Group] = members
	}
	return all, nil
}

// lag is how many records wait for each group. A group's position stays below
// the last marker of a transaction, so that it is seldom exactly 0.
func (g *groups) lag(ctx context.Context) (map[string]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	described, err := g.admin.Lag(ctx, g.names...)
	if err != nil {
		return nil, err
	}
	lag := map[string]int64{}
	for _, d := range described {
		if err := d.Error(); err != nil {
			return nil, fmt.Errorf("lag of group %s: %w", d.Group, err)
		}
		lag[d.Group] = d.Lag.Total()
	}
	return lag, nil
}

// ends are where all topics end now.
func (g *groups) ends(ctx context.Context) (total int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var names []string
	for _, t := range topology.Topics() {
		names = append(names, t.Name)
	}
	listed, err := g.admin.ListEndOffsets(ctx, names...)
	if err == nil {
		err = listed.Error()
	}
	listed.Each(func(o kadm.ListedOffset) { total += o.Offset })
	return total, err
}
