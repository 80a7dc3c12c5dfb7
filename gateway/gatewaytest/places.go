package gatewaytest

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// Two sets of places. Together they have every form, and what is in one of them is not in the other.
const (
	PlacesA = "bearer,basic,query:api_key"
	PlacesB = "apikey,header:X-API-Key,header:X-Other"
)

// A PlaceCase is a request with keys in some places. KEY and TWO in its target and lines stand for two valid keys.
type PlaceCase struct {
	Name   string
	Target string   // path and query
	Lines  []string // headers
	// A and B are the statuses with PlacesA and with PlacesB.
	A, B int
	// Received is the path and query that the API receives. If empty, it is Target.
	Received string
	// Holds are the headers of Lines, in lower case, that contain the key.
	Holds []string
	// Joined marks a request whose headers Envoy joins. It then refuses the result with 401 instead of 400.
	Joined bool
}

// For returns the case with these keys.
func (c PlaceCase) For(key, two string) PlaceCase {
	fill := strings.NewReplacer("KEY", key, "TWO", two)
	lines := make([]string, len(c.Lines))
	for i, line := range c.Lines {
		lines[i] = fill.Replace(line)
		if name, credentials, ok := strings.Cut(lines[i], "BASIC("); ok {
			pair, padding, _ := strings.Cut(credentials, ")")
			lines[i] = name + strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(pair)), "=") + padding
		}
	}
	c.Target, c.Lines = strings.ReplaceAll(fill.Replace(c.Target), "ESC", escaped(key)), lines
	if c.Received == "" {
		c.Received = c.Target
	}
	return c
}

// escaped returns a text with each character as an escape.
func escaped(text string) string {
	var b strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&b, "%%%02x", text[i])
	}
	return b.String()
}

// PlaceCases cover every form of a place, on and off, alone and combined.
func PlaceCases() []PlaceCase {
	const bearer, apikey, header, query = "Authorization: Bearer KEY", "Authorization: ApiKey KEY", "X-API-Key: KEY", "/?api_key=KEY"
	auth, own := []string{"authorization"}, []string{"x-api-key"}
	lines := func(lines ...string) []string { return lines }
	return []PlaceCase{
		{Name: "no key", Target: "/?a=1", A: 401, B: 401},
		{Name: "the header between filters", Target: "/", Lines: lines("X-Burnkey-Credential: KEY"), A: 401, B: 401},

		{Name: "Bearer", Target: "/", Lines: lines(bearer), A: 200, B: 401, Holds: auth},
		{Name: "bearer, spaces", Target: "/?x", Lines: lines("authorization:   bEARER    KEY  "), A: 200, B: 401, Holds: auth},
		{Name: "Bearer, a tab", Target: "/", Lines: lines("Authorization: Bearer\tKEY"), A: 401, B: 401},
		{Name: "Bearer of another kind", Target: "/", Lines: lines("Authorization: Bearer x"), A: 401, B: 401},
		{Name: "Bearer twice", Target: "/", Lines: lines(bearer, bearer), A: 400, B: 400, Joined: true},
		{Name: "ApiKey", Target: "/", Lines: lines(apikey), A: 401, B: 200, Holds: auth},
		{Name: "apikey, spaces", Target: "/", Lines: lines("Authorization: aPIkeY  KEY"), A: 401, B: 200, Holds: auth},
		{Name: "Token", Target: "/", Lines: lines("Authorization: Token KEY"), A: 401, B: 401},

		{Name: "Basic, as user", Target: "/", Lines: lines("Authorization: Basic BASIC(KEY:)=="), A: 200, B: 401, Holds: auth},
		{Name: "Basic, as user alone", Target: "/", Lines: lines("Authorization: Basic BASIC(KEY)"), A: 200, B: 401, Holds: auth},
		{Name: "Basic, as password", Target: "/", Lines: lines("Authorization: basic  BASIC(:KEY)="), A: 200, B: 401, Holds: auth},
		{Name: "Basic, owner and key", Target: "/", Lines: lines("Authorization: BASIC BASIC(cust_1:KEY)"), A: 200, B: 401, Holds: auth},
		{Name: "Basic, the same twice", Target: "/", Lines: lines("Authorization: Basic BASIC(KEY:KEY)"), A: 200, B: 401, Holds: auth},
		{Name: "Basic, two keys", Target: "/", Lines: lines("Authorization: Basic BASIC(KEY:TWO)"), A: 400, B: 401},
		{Name: "Basic, no key", Target: "/", Lines: lines("Authorization: Basic BASIC(alice:secret)"), A: 401, B: 401},
		{Name: "Basic, empty", Target: "/", Lines: lines("Authorization: Basic Og=="), A: 401, B: 401},
		{Name: "Basic, a line end", Target: "/", Lines: lines("Authorization: Basic BASIC(KEY\r\nx: y:)"), A: 401, B: 401},
		{Name: "Basic, not base64", Target: "/", Lines: lines("Authorization: Basic !"), A: 400, B: 401},
		{Name: "Basic, base64url", Target: "/", Lines: lines("Authorization: Basic Pj4_Pz8-"), A: 400, B: 401},

		{Name: "header", Target: "/", Lines: lines(header), A: 401, B: 200, Holds: own},
		{Name: "header, another", Target: "/", Lines: lines("x-other:\t KEY\t"), A: 401, B: 200, Holds: lines("x-other")},
		{Name: "header twice", Target: "/", Lines: lines(header, "x-api-key: KEY"), A: 401, B: 200, Holds: own},
		{Name: "header, joined", Target: "/", Lines: lines("X-API-Key: ,KEY , KEY"), A: 401, B: 200, Holds: own},
		{Name: "header, two keys", Target: "/", Lines: lines(header, "X-API-Key: TWO"), A: 401, B: 400},
		{Name: "header, joined keys", Target: "/", Lines: lines("X-API-Key: KEY,TWO"), A: 401, B: 400},
		{Name: "header, empty", Target: "/", Lines: lines("X-API-Key:"), A: 401, B: 401},
		{Name: "header with a scheme", Target: "/", Lines: lines("X-API-Key: Bearer KEY"), A: 401, B: 401},

		{Name: "query", Target: query, A: 200, B: 401, Received: "/"},
		{Name: "query, the rest", Target: "/p%C3%A9?b=%2F+x;c&b&api_key=KEY&a=1&b=2&", A: 200, B: 401, Received: "/p%C3%A9?b=%2F+x;c&b&a=1&b=2&"},
		{Name: "query, escaped", Target: "/?%61pi%5Fkey=ESC", A: 200, B: 401, Received: "/"},
		{Name: "query twice", Target: query + "&api_key=KEY&api_key=", A: 200, B: 401, Received: "/"},
		{Name: "query, two keys", Target: query + "&api_key=TWO", A: 400, B: 401},
		{Name: "query, an invalid escape", Target: "/?api_key=%zz", A: 400, B: 401},
		{Name: "query, another invalid escape", Target: query + "&z=%zz", A: 200, B: 401, Received: "/?z=%zz"},
		{Name: "query, empty", Target: "/?api_key=", A: 401, B: 401},
		{Name: "query, another name", Target: "/?API_KEY=KEY", A: 401, B: 401},
		{Name: "query, many parameters", Target: query + strings.Repeat("&", 1000), A: 400, B: 401},

		{Name: "the same in two places", Target: query, Lines: lines(bearer), A: 200, B: 401, Received: "/", Holds: auth},
		{Name: "the same in two headers", Target: "/", Lines: lines(apikey, header), A: 401, B: 200, Holds: append(own, auth...)},
		{Name: "two keys in two places", Target: query, Lines: lines("Authorization: Bearer TWO"), A: 400, B: 401},
		{Name: "two keys in two headers", Target: "/", Lines: lines(apikey, "X-Other: TWO"), A: 401, B: 400},
		{Name: "a key and another text", Target: query, Lines: lines("Authorization: Bearer x"), A: 400, B: 401},
		{Name: "a key and another where it is off", Target: "/", Lines: lines(bearer, "X-Other: TWO"), A: 200, B: 200, Holds: lines("x-other")},
		{Name: "a key and a user", Target: query, Lines: lines("Authorization: Basic BASIC(alice:x)"), A: 200, B: 401, Received: "/"},
	}
}
