package sagas_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eventpro/boxoffice/internal/provider"
	"github.com/eventpro/boxoffice/internal/sagas"
	"github.com/eventpro/boxoffice/internal/stream"
	"github.com/eventpro/boxoffice/internal/topology"
)

// figures are a tracker's metrics by name and labels.
func figures(r *prometheus.Registry) (map[string]float64, error) {
	families, err := r.Gather()
	if err != nil {
		return nil, err
	}
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			found[name] = m.GetGauge().GetValue()
		}
	}
	return found, nil
}

// track runs a tracker on views in a folder until it is stopped.
func (p *person) track(dir string) (registry *prometheus.Registry, stop func()) {
	p.Helper()
	registry = prometheus.NewRegistry()
	tracker, err := sagas.NewTracker(registry)
	if err != nil {
		p.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	view := func(t topology.Topic, updates func(stream.Update)) *stream.View {
		v, err := stream.NewView(stream.Config{Brokers: p.Operator.Brokers, DataDir: dir}, "views", t, stream.ViewOptions{OnUpdate: updates})
		if err != nil {
			p.Fatal(err)
		}
		running.Go(func() {
			if err := v.Run(ctx); err != nil {
				p.Error(err)
			}
		})
		return v
	}
	rs, ps := view(topology.RegistrationsTable, tracker.Registration), view(topology.PaymentsTable, tracker.Payment)
	running.Go(func() {
		if err := tracker.Run(ctx, rs, ps); err != nil {
			p.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	p.Cleanup(stop)
	return registry, stop
}

func (p *person) figure(r *prometheus.Registry, name string, want float64) {
	p.Helper()
	p.Eventually(fmt.Sprintf("%s is %v", name, want), func() error {
		all, err := figures(r)
		if err == nil && all[name] != want {
			return fmt.Errorf("the figures are %v", all)
		}
		return err
	})
}

// Two charges and a refund are parked: the figures that alerts read say so, also
// after the look-ups have started again on what their disk has, and go back when
// a person has resolved them.
func TestMetricsOfWhatIsParked(t *testing.T) {
	p := newPerson(t, impatient(late))
	dir := t.TempDir()
	registry, stop := p.track(dir)
	refunded := p.Register("refunded")
	p.figure(registry, "boxoffice_sagas_open settling", 0)
	p.Await(refunded, "confirmed", confirmed)
	p.Behave(provider.Behaviour{Away: true})
	p.Cancel(refunded)
	first, second := p.Register("first"), p.Register("second")
	for range 2 {
		p.figure(registry, "boxoffice_payments_parked charge", 2)
		p.figure(registry, "boxoffice_payments_parked refund", 1)
		p.figure(registry, "boxoffice_payments_parked_minor EUR charge", 5000)
		p.figure(registry, "boxoffice_payments_parked_minor EUR refund", 2500)
		p.figure(registry, "boxoffice_sagas_open settling", 3)
		stop()
		registry, stop = p.track(dir)
	}
	p.resolve(first, sagas.NotCaptured, nil)
	p.resolve(second, sagas.NotCaptured, nil)
	p.figure(registry, "boxoffice_payments_parked charge", 0)
	p.figure(registry, "boxoffice_sagas_open settling", 1)
}
