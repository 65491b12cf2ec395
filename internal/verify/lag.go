package verify

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/eventpro/boxoffice/internal/topology"
)

// readLag: I7, every record below the first cut was handed to its group. What
// lies between a group's offset and a partition's end may be markers of
// transactions only, so it is read.
func (w *world) readLag(ctx context.Context) error {
	unread := int64(0)
	for _, g := range topology.Groups() {
		if g.Name == loaderGroup {
			continue // its rows are compared one by one
		}
		at, err := committed(ctx, w.admin, g.Name)
		if err != nil {
			return err
		}
		ends := cut{}
		if err := ends.add(ctx, w.admin, g.Inputs...); err != nil {
			return err
		}
		for _, t := range g.Inputs {
			n, err := w.unread(ctx, t, at.of(t.Name), ends.of(t.Name))
			if err != nil {
				return err
			}
			unread += n
			if n > 0 && !w.report.Moving && w.options.AtRest {
				w.found.fail("I7", "group %s has not read %d records of %s", g.Name, n, t.Name)
			}
		}
	}
	w.found.detail("I7", "%v records on their way to a group", unread)
	return nil
}

func (w *world) unread(ctx context.Context, t topology.Topic, at, ends map[int32]int64) (n int64, err error) {
	err = w.reader.Read(ctx, t, at, ends, func(*kgo.Record) error {
		w.count(&n)
		return nil
	})
	return n, err
}
