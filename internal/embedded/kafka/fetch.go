package kafka

import (
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// wholeAnswers lifts the limit on the size of a whole answer to a fetch; the limits
// on each of its partitions stay. When kfake ends an answer in the middle of a
// partition because the whole has become too large, it leaves out which of that
// partition's transactions were aborted, and a reader of committed records takes
// their records for committed (I5).
func (c *Cluster) wholeAnswers() {
	c.kfake.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		req.(*kmsg.FetchRequest).MaxBytes = math.MaxInt32
		return nil, nil, false
	})
}
