package publish

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// All metrics of a workspace belong to the same moment, even if its set is read while they are collected.
func TestMetricsAreOfOneMoment(t *testing.T) {
	p := NewPublisher(nil, nil)
	pub := p.entry("acme")
	p.ages.lagging = map[string]lag{"acme": {version: 1}}
	set, err := new(Builder).Set(1)
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan prometheus.Metric)
	go func() { defer close(ch); p.Collect(ch) }()
	said := make(map[*prometheus.Desc]float64)
	for m := range ch {
		var out dto.Metric
		if err := m.Write(&out); err != nil {
			t.Fatal(err)
		}
		said[m.Desc()] = out.GetGauge().GetValue()
		if m.Desc() == descKeys {
			pub.index.Store(NewIndex(set))
		}
	}
	if said[descWorkspaces] != 0 || said[descUnread] != 1 {
		t.Errorf("%v workspaces with a set, and %v without, of one without", said[descWorkspaces], said[descUnread])
	}
}
