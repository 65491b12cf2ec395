package stream

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commitAnswer passes the outcome of an offset commit on: the request's error,
// or those of its partitions.
func commitAnswer(answer chan<- error) func(*kgo.Client, *kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {
	return func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		errs := []error{err}
		if err == nil {
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					if e := kerr.ErrorForCode(p.ErrorCode); e != nil {
						errs = append(errs, fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, e))
					}
				}
			}
		}
		answer <- errors.Join(errs...)
	}
}
