package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/internal/apikey"
	"github.com/eventpro/boxoffice/internal/embedded/ports"
	"github.com/eventpro/boxoffice/internal/sealing"
	"github.com/eventpro/boxoffice/internal/stream"
)

// clusterFlags say which Kafka cluster to use.
type clusterFlags struct {
	KafkaBrokers []string `help:"Kafka brokers to start from." default:"127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094" placeholder:"HOST:PORT,..."`
}

type partitionFlags struct {
	Partitions  int `help:"Partitions of every topic. For ever: it decides where a key lives." default:"32"`
	Replication int `help:"Copies of every partition." default:"3"`
}

// roleFlags are those of every role that works on Kafka.
type roleFlags struct {
	clusterFlags `embed:""`
	Member       string `help:"Static id of this process, unique among the running ones and the same after a restart; for example the pod's name. Default: the host's name." placeholder:"NAME"`
	DataDir      string `help:"Folder of the local tables. A cache: losing it costs a recovery, no data." default:".data" type:"path"`
	MetricsAddr  string `help:"Address of metrics, health and profiles." default:"127.0.0.1:9464" placeholder:"HOST:PORT"`
	Compression  string `help:"Compression of what is produced: none, snappy, lz4 or zstd." enum:"none,snappy,lz4,zstd" default:"snappy"`
}

// stream makes the runtime's configuration; sub keeps the roles' local tables
// apart.
func (f *roleFlags) stream(env *environment, registry prometheus.Registerer, sub string) (stream.Config, error) {
	member := f.Member
	if member == "" {
		host, err := os.Hostname()
		if err != nil {
			return stream.Config{}, usagef("this host has no name (%v): set --member", err)
		}
		member = host
	}
	cfg := stream.Config{
		Brokers: f.KafkaBrokers, Member: member, DataDir: filepath.Join(f.DataDir, sub),
		Logger: env.log, Registerer: registry, Compression: f.Compression,
	}
	if err := cfg.Validate(); err != nil {
		return cfg, usagef("%v", err)
	}
	return cfg, nil
}

// sagaFlags are the deadlines of the sagas.
type sagaFlags struct {
	HoldTimeout   time.Duration `help:"How long an order may hold seats before it is decided." default:"10m"`
	ChargeTimeout time.Duration `help:"How long a charge may take before the order expires." default:"60s"`
}

// keyFlags say who may call.
type keyFlags struct {
	KeysFile string `help:"File of API keys (SHA-256 hashes with organiser and scopes); reloaded when it changes. 'boxoffice keys' makes entries." required:"" type:"path" placeholder:"FILE"`
}

func (f *keyFlags) open(log *slog.Logger) (*apikey.Store, error) {
	store, err := apikey.Open(f.KeysFile, log)
	if err != nil {
		return nil, usagef("--keys-file: %v", err)
	}
	return store, nil
}

// openSealing reads the key ring for personal data.
func openSealing(path string) (*sealing.Keyring, error) {
	ring, err := sealing.Load(path)
	if err != nil {
		return nil, usagef("--sealing-key-file: %v", err)
	}
	return ring, nil
}

// listen opens a TCP address and says who holds it when it is taken. setting is
// the flag that chooses another one.
func listen(what, setting, addr string) (net.Listener, error) {
	listener, err := ports.Listen(addr, what, "choose another address with "+setting)
	if err != nil {
		return nil, fmt.Errorf("%s %s cannot be opened: %w", setting, addr, err)
	}
	return listener, nil
}
