package e2e_test

import (
	"fmt"
	"math"
	"time"

	"github.com/burnkey/burnkey/internal/testkit"
)

// A span is a measured time in seconds, rounded to tenths. If Over, the event did not happen in this time.
type span struct {
	Seconds float64 `json:"seconds"`
	Over    bool    `json:"over,omitempty"`
}

// measurements is the content of clientsFile.
type measurements struct {
	Date    string    `json:"date"`
	Records []*record `json:"records"`
}

// A record is a line of the matrix: a client with one setting.
type record struct {
	Client  string `json:"client"`
	Setting string `json:"setting"`
	Version string `json:"version"`
	// Missing says what the machine lacks: nothing else was measured then.
	Missing string `json:"missing,omitempty"`
	// Problem is why the client did not do what it must.
	Problem string `json:"problem,omitempty"`

	NewKey  *span `json:"new_key,omitempty"` // until a new key is accepted
	Revoked *span `json:"revoked,omitempty"` // until a revoked key is refused
	Away    *span `json:"away,omitempty"`    // while the server is away: until a good key is refused
	Back    *span `json:"back,omitempty"`    // after the server is back: until a good key is accepted
	Late    *span `json:"late,omitempty"`    // after the server is back: until a key that was revoked meanwhile is refused

	Forged  int `json:"forged"`  // fetches for forgedKids tokens with forged kids
	Largest int `json:"largest"` // the largest set, of clientsSizes, that was loaded
}

const (
	askEvery   = 500 * time.Millisecond
	forgedKids = 20
)

// until asks for a token until the client accepts or refuses it, as wanted, and returns how long that took.
func until(j judge, token string, accepted bool, limit time.Duration) *span {
	begin := time.Now()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		at := time.Now()
		if (j.judge(token) == "") == accepted {
			return &span{Seconds: tenths(at.Sub(begin))}
		}
		if time.Since(begin) > limit {
			return &span{Seconds: math.Round(limit.Seconds()), Over: true}
		}
		<-tick.C
	}
}

func tenths(d time.Duration) float64 { return math.Round(d.Seconds()*10) / 10 }

// forgery returns a token like the workspace's, with a kid that no set has and no valid signature.
func (m *matrix) forgery(workspace string) string {
	claims := fmt.Sprintf(`{"iss":%q,"sub":"cust_1","aud":[%q],"jti":"forged","iat":%d,"exp":%[3]d0}`,
		m.front.secure.URL+"/v1/auth/oauth/"+workspace, clientsAudience, time.Now().Unix())
	return testkit.Sign(nil, testkit.Header(testkit.Encode(string(testkit.Modulus()[:32]))), claims)
}
