package main

import (
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

func TestLimitFlag(t *testing.T) {
	for text, want := range map[string]jwks.Limit{
		"burst=100/60s": {Name: "burst", Requests: 100, Seconds: 60}, "burst=100/60": {Name: "burst", Requests: 100, Seconds: 60},
		"a=1/2h": {Name: "a", Requests: 1, Seconds: 7200}, "monthly=100000/month": {Name: "monthly", Requests: 100000, Calendar: "month"},
		"d=4294967295/day": {Name: "d", Requests: 1<<32 - 1, Calendar: "day"}, "w=0/week": {Name: "w", Calendar: "week"},
		"": {}, "burst": {}, "burst=100": {}, "burst=/60s": {}, "burst=100/": {}, "burst=100/year": {}, "burst=-1/60s": {}, "burst=1.5/60s": {},
		"burst=4294967296/60s": {}, "burst=1/0s": {}, "burst=1/500ms": {}, "burst=1/50000d": {}, "burst=1/60s/60s": {},
	} {
		if got, err := limitIn(text); got != want || (err != nil) != (want == jwks.Limit{}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	flag := limitFlag{{Name: "burst", Requests: 1, Seconds: 60}, {Name: "m", Requests: 2, Calendar: "month"}}
	if got := flag.String(); got != "burst=1/60s m=2/month" {
		t.Errorf("shown as %s", got)
	}
}
