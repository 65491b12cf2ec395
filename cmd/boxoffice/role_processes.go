package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/eventpro/boxoffice/internal/topology"
)

// roleProcess is a role that runs as a process of its own.
type roleProcess struct {
	name string
	// group and member are its place in a consumer group; empty for none.
	group, member string
	// tables is the folder of its local tables.
	tables string
	args   []string
}

// Static member ids of the embedded system's processes.
const (
	firstMember  = "embedded"
	secondMember = "other"
)

// roleProcesses lists every role but the engines, in the order of their start.
func (s *system) roleProcesses() []roleProcess {
	var roles []roleProcess
	add := func(name, group, member string, args ...string) {
		r := roleProcess{name: name, group: group, member: member, tables: filepath.Join(s.dir.Tables(), name)}
		r.args = append(args,
			"--kafka-brokers", strings.Join(s.brokers, ","), "--member", member, "--data-dir", r.tables,
			"--metrics-addr", "127.0.0.1:0", "--compression", embeddedCompression)
		roles = append(roles, r)
	}
	deadlines := []string{"--hold-timeout", s.options.saga.HoldTimeout.String(), "--charge-timeout", s.options.saga.ChargeTimeout.String()}
	process := func(group string) []string {
		return append([]string{"process", group, "--provider-url", s.providerURL}, deadlines...)
	}
	for _, group := range groupNames() {
		add(group, group, firstMember, process(group)...)
		if slices.Contains(s.options.second, group) {
			add(group+"-2", group, secondMember, process(group)...)
		}
	}
	p := s.options.ports
	add("sink", topology.ClickHouseSink.Name, firstMember, append([]string{"sink", "--clickhouse-url", s.clickhouseURL}, deadlines...)...)
	add("views", "", firstMember, "views", "--views-addr", loopback(p.views), "--keys-file", s.access.keysFile,
		"--clickhouse-url", s.clickhouseURL)
	add("ingest", "", firstMember, "ingest", "--ingest-addr", loopback(p.ingest), "--views-url", s.viewsURL,
		"--keys-file", s.access.keysFile, "--sealing-key-file", s.access.sealingFile)
	return roles
}

// startRoleProcesses starts every role as a child of its own.
func (s *system) startRoleProcesses(ctx context.Context) error {
	s.options.say("starting every role as a process of its own")
	s.roles = s.roleProcesses()
	for _, r := range s.roles {
		if err := s.startChild(ctx, r.name, r.args); err != nil {
			return err
		}
	}
	return nil
}
