package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// spread gives each partition of a topic another leader.
func spread(_ string, partition int32) int32 { return partition % NumBrokers }

// placeLeaders moves the partitions of topics that are created from here on to
// their leaders; kfake draws them. Those that were loaded have theirs from their
// snapshots.
func (c *Cluster) placeLeaders() {
	c.kfake.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		var names []string
		for _, t := range req.(*kmsg.CreateTopicsRequest).Topics {
			names = append(names, t.Topic)
		}
		// Moving waits for kfake's loop, which runs this and then the request.
		go func() {
			for _, name := range names {
				c.placeTopic(name)
			}
		}()
		return nil, nil, false
	})
}

// placeTopic does nothing for a topic that could not be created.
func (c *Cluster) placeTopic(name string) {
	for partition := int32(0); ; partition++ {
		leader := c.kfake.LeaderFor(name, partition)
		if leader < 0 {
			return
		}
		if want := c.options.Leader(name, partition); leader != want {
			// It fails for a topic that was deleted meanwhile, which needs no leader.
			_ = c.kfake.MoveTopicPartition(name, partition, want)
		}
	}
}
