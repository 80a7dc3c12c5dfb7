package redis

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway/limits"
	"github.com/burnkey/burnkey/gateway/limits/redis/redistest"
	"github.com/burnkey/burnkey/jwks"
)

// BenchmarkTake measures decisions with two rules against a Redis on this machine, of one caller and of many.
func BenchmarkTake(b *testing.B) {
	s := redistest.Start(b)
	c := newCounter(b, s, nil)
	rules := []limits.Rule{perSeconds(1_000_000_000, 1), per(jwks.Month, 4_000_000_000)}
	for _, callers := range []int{1, 16, 256} {
		b.Run(map[int]string{1: "1caller", 16: "16callers", 256: "256callers"}[callers], func(b *testing.B) {
			b.ReportAllocs()
			took := make([][]time.Duration, callers)
			var running sync.WaitGroup
			for i := range callers {
				running.Go(func() {
					states := make([]limits.State, len(rules))
					for range b.N/callers + 1 {
						began := time.Now()
						if _, err := c.ask(b.Context(), began, 1, rules, states); err != nil {
							b.Error(err)
							return
						}
						took[i] = append(took[i], time.Since(began))
					}
				})
			}
			running.Wait()
			all := slices.Concat(took...)
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Microseconds()), "µs/p50")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "µs/p99")
		})
	}
}
