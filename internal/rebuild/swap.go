package rebuild

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/eventpro/boxoffice/internal/stream"
)

// swapsMax is how often a swap is tried: an owner that starts again in between
// takes its transactional id back, which aborts the try. Each try makes the
// owner's pause before the next start longer.
const swapsMax = 40

// errTakenBack says that an owner took its transactional id back.
var errTakenBack = errors.New("an owner started again in between")

// swap writes what was recomputed in place of what differs.
//
// Nobody but the owner of a key may write its value, so this becomes the owner:
// it takes over the transactional ids of all members, which aborts what they
// have under way and keeps them from committing anything more. Then the table and
// the log stand still and are read to their ends, and the corrections are
// written under the id of each partition's owner. A member that starts again
// takes its id back first; if it does so before the corrections are committed,
// they are aborted and all is done again, and if later, it reads them when it
// recovers (runtime rule 2).
func (t *table) swap(ctx context.Context) (swapped int, err error) {
	for range swapsMax {
		n, err := t.swapOnce(ctx)
		if err == nil {
			return swapped + n, t.confirm(ctx)
		}
		if !errors.Is(err, errTakenBack) {
			return swapped, err
		}
		t.o.Logger.Info("the swap is repeated", "cause", err)
		if ctx.Err() != nil {
			return swapped, ctx.Err()
		}
	}
	return swapped, fmt.Errorf("%d tries, and every time %w: stop the group's processes and try again", swapsMax, errTakenBack)
}

// confirm looks until nothing differs any more.
func (t *table) confirm(ctx context.Context) error {
	for range looksMax {
		if err := t.look(ctx); err != nil {
			return err
		}
		if len(t.suspects) == 0 {
			return nil
		}
		time.Sleep(lookPause)
	}
	return fmt.Errorf("%d values still differ after the swap: run it again", len(t.suspects))
}

func (t *table) swapOnce(ctx context.Context) (int, error) {
	owners, err := t.owners(ctx)
	if err != nil {
		return 0, err
	}
	fences := map[string]*kgo.Client{}
	defer func() {
		for _, c := range fences {
			c.Close()
		}
	}()
	for _, member := range owners {
		if fences[member] == nil {
			if fences[member], err = t.fence(ctx, member); err != nil {
				return 0, err
			}
		}
	}
	if err := t.look(ctx); err != nil {
		return 0, err
	}
	n, err := t.correct(ctx, owners, fences)
	if err != nil {
		return 0, err
	}
	after, err := t.owners(ctx)
	if err != nil {
		return 0, err
	}
	if !maps.Equal(owners, after) {
		// A new owner may have read its table before the corrections were there.
		return 0, fmt.Errorf("partitions moved: %w", errTakenBack)
	}
	return n, nil
}

// nobody owns the partitions of a group that does not run.
const nobody = "boxoffice-rebuild"

// owners lists which member owns each partition of the table.
func (t *table) owners(ctx context.Context) (map[int32]string, error) {
	described, err := t.admin.DescribeGroups(ctx, t.recipe.group.Name)
	if err == nil {
		err = described.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("who owns the partitions of group %s: %w", t.recipe.group.Name, err)
	}
	owners := map[int32]string{}
	for p := range int32(t.partitions) {
		owners[p] = nobody
	}
	input := t.recipe.group.Inputs[0].Name
	for _, m := range described[t.recipe.group.Name].Members {
		if err := assigned(m, input, owners); err != nil {
			return nil, err
		}
	}
	return owners, nil
}

func assigned(m kadm.DescribedGroupMember, input string, owners map[int32]string) error {
	c, ok := m.Assigned.AsConsumer()
	if !ok {
		return nil
	}
	for _, topic := range c.Topics {
		for _, p := range topic.Partitions {
			if topic.Topic != input {
				continue
			}
			if m.InstanceID == nil {
				return fmt.Errorf("member %s at %s has no static id: it is none of ours", m.MemberID, m.ClientHost)
			}
			owners[p] = *m.InstanceID
		}
	}
	return nil
}

// fence takes over a member's transactional id.
func (t *table) fence(ctx context.Context, member string) (*kgo.Client, error) {
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(t.o.Brokers...),
		kgo.TransactionalID(t.recipe.group.Name + "/" + member), kgo.TransactionTimeout(10 * time.Second),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, t.o.KafkaOptions...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	if _, _, err := client.ProducerID(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("taking over member %s: %w (%w)", member, errTakenBack, err)
	}
	return client, nil
}

// correct writes the recomputed values of the suspects, one transaction with an
// audit record for each member that owns some.
func (t *table) correct(ctx context.Context, owners map[int32]string, fences map[string]*kgo.Client) (int, error) {
	records := map[string][]*kgo.Record{}
	for _, key := range slices.Sorted(maps.Keys(t.suspects)) {
		r, err := t.correction(key)
		if err != nil {
			return 0, err
		}
		records[owners[r.Partition]] = append(records[owners[r.Partition]], r)
	}
	for member, batch := range records {
		client := fences[member]
		done, err := t.o.By.record(t.recipe.group.Name, fmt.Sprintf("%d values of the table recomputed from %s, owner %s", len(batch), t.recipe.source.Name, member))
		if err != nil {
			return 0, err
		}
		done.Partition = stream.Partition(string(done.Key), t.partitions)
		batch = append(batch, done)
		if err := client.BeginTransaction(); err != nil {
			return 0, fmt.Errorf("beginning a transaction: %w", err)
		}
		end := kgo.TryCommit
		produced := client.ProduceSync(ctx, batch...).FirstErr()
		if produced != nil {
			end = kgo.TryAbort
		}
		if err := errors.Join(produced, client.EndTransaction(context.WithoutCancel(ctx), end)); err != nil {
			return 0, fmt.Errorf("member %s: %w (%w)", member, errTakenBack, err)
		}
	}
	return len(t.suspects), nil
}

// correction is the record that puts the recomputed value of a key in place.
func (t *table) correction(key string) (*kgo.Record, error) {
	p := t.partition(key)
	value, err := t.get(t.rebuilt[p], key)
	if err != nil {
		return nil, err
	}
	if value == nil {
		// Nothing is ever deleted from a table: another table's key, or a log
		// that has lost records, is for a person to look at.
		return nil, fmt.Errorf("key %s is in the table and the log has nothing of it: it is not swapped, look where it comes from", key)
	}
	if live, err := t.get(t.live[p], key); err == nil && live != nil {
		t.recipe.carry(value, live)
	}
	raw, err := proto.Marshal(value)
	if err != nil {
		return nil, err
	}
	return &kgo.Record{Topic: t.recipe.group.Table.Name, Partition: p, Key: []byte(key), Value: raw}, nil
}
