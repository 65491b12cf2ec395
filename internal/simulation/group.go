package simulation

import "slices"

// sessionTimeout is after which a group gives up a member that is not heard of.
const sessionTimeout = 6_000

// group is a consumer group as its coordinator sees it.
type group struct {
	name       string
	generation int
	members    []*member
	owner      [partitions]*member
	offsets    map[*partitionLog]int64
	// unsettled are transactions with offsets of the group, whose end is not
	// decided or not visible yet.
	unsettled []*transaction
}

func newGroup(name string) *group { return &group{name: name, offsets: map[*partitionLog]int64{}} }

// member is a process's place in a group. A static member: who comes back under
// the same name takes the place of the one before.
type member struct {
	name    string
	heard   int64 // when the group heard of it last
	silent  bool  // paused or dead
	process any   // the incarnation that holds the place
}

// join takes a place in the group.
func (g *group) join(m *member, rotation int) {
	g.members = slices.DeleteFunc(g.members, func(o *member) bool { return o.name == m.name })
	g.members = append(g.members, m)
	slices.SortFunc(g.members, func(a, b *member) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	g.rebalance(rotation)
}

// rebalance assigns the partitions anew: the same partition of every input goes
// to the same member.
func (g *group) rebalance(rotation int) {
	g.generation++
	for i := range g.owner {
		g.owner[i] = nil
		if n := len(g.members); n > 0 {
			g.owner[i] = g.members[(i+rotation)%n]
		}
	}
}

// valid reports whether a member is of the group's present generation.
func (g *group) valid(m *member, generation int) bool {
	return generation == g.generation && slices.Contains(g.members, m)
}

// owned are the partitions of a member.
func (g *group) owned(m *member) []int32 {
	var owned []int32
	for i, o := range g.owner {
		if o == m {
			owned = append(owned, int32(i))
		}
	}
	return owned
}

// stable reports whether the committed offsets of the partitions can be told: no
// transaction that would change them is open.
func (g *group) stable(owned []int32) bool {
	for _, tx := range g.unsettled {
		for _, o := range tx.offsets {
			if slices.Contains(owned, o.log.number) {
				return false
			}
		}
	}
	return true
}

// expire gives up who was not heard of for too long.
func (g *group) expire(now int64) (gone []string) {
	n := len(g.members)
	g.members = slices.DeleteFunc(g.members, func(m *member) bool {
		if !m.silent {
			m.heard = now
			return false
		}
		if now-m.heard < sessionTimeout {
			return false
		}
		gone = append(gone, m.name)
		return true
	})
	if len(g.members) != n {
		g.rebalance(0)
	}
	return gone
}
