package jwks

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func parsed(tb testing.TB, text string) Places {
	tb.Helper()
	p, err := ParsePlaces(strings.Split(text, ",")...)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestParsePlaces(t *testing.T) {
	const all = "bearer,apikey,basic,header:X-API-Key,query:api_key"
	p := parsed(t, all)
	if p.String() != all || p.OnlyBearer() ||
		!slices.Equal(p.HeaderNames(), []string{"Authorization", "X-API-Key"}) || !slices.Equal(p.QueryNames(), []string{"api_key"}) {
		t.Errorf("%s, %v, %v", p, p.HeaderNames(), p.QueryNames())
	}
	if p, err := ParsePlaces(); err != nil || !p.OnlyBearer() || p.String() != "bearer" || !parsed(t, "bearer").OnlyBearer() {
		t.Errorf("the default: %s, %v", p, err)
	}
	for text, want := range map[string]string{
		"":                               "must be bearer",
		"Bearer":                         "must be bearer",
		"header":                         "name of a header",
		"header:":                        "name of a header",
		"header:x y":                     "name of a header",
		"header:x_y":                     "name of a header",
		"header:" + long(65):             "name of a header",
		"header:authorization":           "another meaning",
		"header:Cookie":                  "another meaning",
		"header:Connection":              "another meaning",
		"header:Content-Type":            "another meaning",
		"header:X-Burnkey-Credential":    "another meaning",
		"query:":                         "name of a query parameter",
		"query:a=b":                      "name of a query parameter",
		"query:" + long(65):              "name of a query parameter",
		"bearer:x":                       "has no name",
		"basic,basic":                    "twice",
		"header:X-Key,header:x-key":      "twice",
		"query:a,query:a":                "twice",
		strings.Repeat("bearer,", 9)[1:]: "at most 8",
	} {
		if _, err := ParsePlaces(strings.Split(text, ",")...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	if _, err := ParsePlaces("query:a", "query:A"); err != nil {
		t.Error(err)
	}
}

func long(n int) string { return strings.Repeat("x", n) }

// TestPlacesBound checks the bounds that no request through Envoy reaches. The rest is tested by gatewaytest.PlaceCases.
func TestPlacesBound(t *testing.T) {
	key := TokenPrefix + long(MaxTokenLen)
	for _, test := range []struct {
		places, query string
		header        HeaderField
		want          *Refusal
	}{
		{"basic", "", HeaderField{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(key+":"+key))}, malformed},
		{"query:k", "k=" + long(3*MaxTokenLen+1), HeaderField{}, malformed},
		{"query:k", strings.Repeat("&", MaxParameters), HeaderField{}, BadQuery},
		{"bearer", strings.Repeat("&", MaxParameters), HeaderField{}, NoToken},
	} {
		if _, no := parsed(t, test.places).Find([]HeaderField{test.header}, test.query); no != test.want {
			t.Errorf("%s: %v", test.places, no)
		}
	}
}

func TestStripTarget(t *testing.T) {
	p := parsed(t, "query:k,query:l,bearer")
	for target, want := range map[string]string{
		"/": "/", "/?": "/?", "/?k": "/", "/?k=1&l=2": "/", "/?a&k=1&b": "/?a&b", "/k?k=1?": "/k", "/?K=1&kk=2&=k": "/?K=1&kk=2&=k", "": "",
		"/?%6b=1&%zz=k&a=k": "/?%zz=k&a=k", "/?k=1&": "/",
	} {
		if got := p.StripTarget(target); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

// Found keys are found by any look-up of headers, and cost no allocation if they are bearer tokens.
func TestFindAllocations(t *testing.T) {
	header := http.Header{"Authorization": {"Bearer " + TokenPrefix}}
	for _, p := range []Places{{}, parsed(t, "header:X-Key,bearer,query:k")} {
		if n := testing.AllocsPerRun(100, func() {
			var some [4]HeaderField
			if f, no := p.Find(p.Fields(some[:0], header), "a=b"); no != nil || f.Key != TokenPrefix {
				t.Fatal(no)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", p, n)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	key := TokenPrefix + long(700)
	for _, test := range []struct {
		places, query string
		header        HeaderField
	}{
		{"bearer", "", HeaderField{"Authorization", "Bearer " + key}},
		{"bearer,apikey,basic,header:X-API-Key,query:key", "", HeaderField{"Authorization", "Bearer " + key}},
		{"basic", "", HeaderField{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("cust_1:"+key))}},
		{"query:key", "a=b&key=" + key, HeaderField{}},
	} {
		b.Run(test.places, func(b *testing.B) {
			p, headers := parsed(b, test.places), []HeaderField{test.header}
			b.ReportAllocs()
			for b.Loop() {
				if _, no := p.Find(headers, test.query); no != nil {
					b.Fatal(no)
				}
			}
		})
	}
}

// FuzzPlaces checks that what Find finds is stripped.
func FuzzPlaces(f *testing.F) {
	for _, query := range []string{"k=a", "%6B=a&b", "k=%zz", "k=a&k=b", "a=1&k", "&&k=+", "k=a;k=b"} {
		f.Add("Bearer a", query)
	}
	f.Add("Basic "+base64.StdEncoding.EncodeToString([]byte("x:"+TokenPrefix)), "")
	p, err := ParsePlaces("bearer", "apikey", "basic", "header:X-Key", "query:k")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, authorization, query string) {
		headers := []HeaderField{{"Authorization", authorization}, {"X-Key", authorization}}
		if found, no := p.Find(headers, query); (no == nil) != (found.held != 0) || no != nil && found.Key != "" {
			t.Errorf("%+v, %v", found, no)
		}
		rest := p.StripQuery(query)
		if _, no := p.Find(nil, rest); no != NoToken && strings.Count(rest, "&") < MaxParameters {
			t.Errorf("%q still contains a key: %v", rest, no)
		}
	})
}
