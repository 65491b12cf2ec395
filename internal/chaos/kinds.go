package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is a kind of fault.
type Kind string

// The kinds of fault.
const (
	// Kill ends a role with SIGKILL; it is started again at once.
	Kill Kind = "kill"
	// KillRoles ends all roles at once, but not the engines.
	KillRoles Kind = "kill-roles"
	// KillAll ends every process at once, as a loss of power does.
	KillAll Kind = "kill-all"
	// Takeover ends a member and keeps it away until the other has its partitions.
	Takeover Kind = "takeover"
	// Pause stops a role until its group has given it up, then lets it go on
	// where it thought it was.
	Pause Kind = "pause"
	// Restart stops a role in order.
	Restart Kind = "restart"
	// KafkaKill, KafkaPause and KafkaRestart hit the brokers.
	KafkaKill    Kind = "kafka-kill"
	KafkaPause   Kind = "kafka-pause"
	KafkaRestart Kind = "kafka-restart"
	// ClickHouseKill and ClickHousePause hit the database.
	ClickHouseKill  Kind = "clickhouse-kill"
	ClickHousePause Kind = "clickhouse-pause"
	// ProviderKill ends the payment provider with SIGKILL.
	ProviderKill Kind = "provider-kill"
	// ProviderAway drops every call, ProviderLate applies charges after the caller
	// has given up, ProviderErrors answers 500.
	ProviderAway   Kind = "provider-away"
	ProviderLate   Kind = "provider-late"
	ProviderErrors Kind = "provider-errors"
	// DiskLost kills a role and deletes its local tables before it comes back.
	DiskLost Kind = "disk-lost"
	// ClockSkew has a role that fires timers run with a clock minutes off.
	ClockSkew Kind = "clock-skew"
)

// kind is what is known of a kind of fault.
type kind struct {
	name Kind
	// hits says which roles it can hit; nil: it has no target.
	hits func(roles []*Role, r *Role) bool
	// from and to bound its span, for those that last a chosen time.
	from, to time.Duration
}

// kinds lists all there are.
var kinds = []kind{
	{name: Kill, hits: func(_ []*Role, r *Role) bool { return !r.Engine }},
	{name: KillRoles},
	{name: KillAll},
	{name: Takeover, hits: doubled},
	{name: Pause, hits: func(_ []*Role, r *Role) bool { return !r.Engine }, from: 7 * time.Second, to: 10 * time.Second},
	{name: Restart, hits: func(_ []*Role, r *Role) bool { return r.Name != Kafka }},
	{name: KafkaKill},
	{name: KafkaPause, from: 2 * time.Second, to: 8 * time.Second},
	{name: KafkaRestart},
	{name: ClickHouseKill},
	{name: ClickHousePause, from: 4 * time.Second, to: 10 * time.Second},
	{name: ProviderKill},
	{name: ProviderAway, from: 6 * time.Second, to: 12 * time.Second},
	{name: ProviderLate, from: 12 * time.Second, to: 15 * time.Second},
	{name: ProviderErrors, from: 6 * time.Second, to: 12 * time.Second},
	{name: DiskLost, hits: func(_ []*Role, r *Role) bool { return !r.Engine && r.Dir != "" }},
	{name: ClockSkew, hits: func(_ []*Role, r *Role) bool { return r.Deadlines }, from: 8 * time.Second, to: 12 * time.Second},
}

// doubled says whether another member of the role's group could take over.
func doubled(roles []*Role, r *Role) bool {
	return r.Session > 0 && slices.ContainsFunc(roles, func(o *Role) bool { return o.Group == r.Group && o != r })
}

func kindOf(name Kind) (kind, bool) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, false
	}
	return kinds[i], true
}

// targets are the roles that a kind can hit, by name; empty for one without.
func (k kind) targets(roles []*Role) []string {
	var names []string
	for _, r := range roles {
		if k.hits != nil && k.hits(roles, r) {
			names = append(names, r.Name)
		}
	}
	return names
}

// everyTarget, as a target, stands for each of a kind's targets on its own.
const everyTarget = "*"

// checkSelection refuses kinds that do not exist.
func checkSelection(selection []string) error {
	for _, s := range selection {
		name, target, aimed := strings.Cut(s, ":")
		k, ok := kindOf(Kind(name))
		if !ok {
			all := make([]string, len(kinds))
			for i, k := range kinds {
				all[i] = string(k.name)
			}
			return fmt.Errorf("there is no fault %q; there are %s", name, strings.Join(all, ", "))
		}
		if aimed && (target == "" || k.hits == nil) {
			return fmt.Errorf("fault %q: %s cannot be aimed at %q", s, name, target)
		}
	}
	return nil
}
