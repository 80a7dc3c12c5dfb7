package jwks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func readSetKeys(r io.Reader) (keys []Key, err error) {
	err = ReadSet(r, func(key Key) error { keys = append(keys, key); return nil })
	return keys, err
}

// agrees fails the test unless ReadSet and ParseSet return the same result for an input.
func agrees(tb testing.TB, text []byte) {
	tb.Helper()
	want, wantErr := ParseSet(text)
	got, err := readSetKeys(iotest.HalfReader(bytes.NewReader(text)))
	if (err == nil) != (wantErr == nil) {
		tb.Errorf("%.2000q: ReadSet says %v, ParseSet %v", text, err, wantErr)
	}
	if err == nil && !slices.Equal(got, want) {
		tb.Errorf("%.2000q: ReadSet gives %d keys, ParseSet %d", text, len(got), len(want))
	}
	if err != nil && !errors.Is(err, ErrKey) {
		tb.Errorf("%.2000q: the error is %v", text, err)
	}
}

func TestReadSetAgreesWithParseSet(t *testing.T) {
	key := jwkOf(rfcKey(t))
	for _, text := range []string{
		``, ` `, `null`, `[]`, `""`, `1`, `{`, `}`, `{}`, `{}{}`, `{"keys"}`, `{"keys":}`, `{"keys":null}`, `{"keys":{}}`,
		`{"keys":[}`, `{"keys":[`,
		`{"keys":[]`, `{"keys":[]}`, ` { "keys" : [ ] } `, `{"keys":[]}x`, `{"keys":[]} {}`, `{"keys":[],}`, `{"keys":[,]}`, `{,"keys":[]}`,
		`{"keys":[],"keys":[]}`, `{"keys":[],"\u006beys":[]}`, `{"\u006beys":[]}`, `{"Keys":[]}`,
		`{"x":1,"keys":[],"y":{"z":[1,2]}}`, `{"x":1,"x":1,"keys":[]}`,
		`{"x":{"y":1,"y":1},"keys":[]}`, `{"x":tru,"keys":[]}`, `{"x":"` + "\xff" + `","keys":[]}`,
		"\ufeff" + `{"keys":[]}`, `{"keys":[null]}`, `{"keys":[1,2]}`,
		`{"keys":[{}]}`, `{"keys":[[]]}`, `{"keys":[` + key + `]}`, `{"keys":[` + key + `,]}`,
		`{"keys":[` + key + `,` + key + `]}`, `{"keys":[` + key + key + `]}`,
		`{"keys":["` + key + `"]}`, `{"keys":[{"n":"` + rfcModulus + `","e":"AQAB","kty":"RSA"}]}`, `{"keys":[ ` + key + "\n,\t" + key + ` ] }`,
		strings.ReplaceAll(`{"keys":[`+key+`]}`, `,`, ` ,`), `{"keys":[` + strings.Replace(key, `"AQAB"`, `"AQAB","x5c":[]`, 1) + `]}`,
		`{"keys":[` + strings.Replace(key, `"alg":"RS256"`, `"alg":"RS512"`, 1) + `]}`,
		`{"keys":[` + strings.Replace(key, rfcKID, respell(rfcKID), 1) + `]}`,
		`{"keys":[` + strings.Replace(key, rfcKID, strings.Repeat("A", KIDTextLen), 1) + `]}`,
	} {
		agrees(t, []byte(text))
	}
}

// ReadSet agrees with ParseSet on a set with a damaged byte and on a truncated set.
func TestReadSetAgreesOnDamage(t *testing.T) {
	random := newRand(31)
	text := plainBytes(t, buildSet(t, 1, testKeys(t, 31, 3)...))
	for at := range text {
		damaged := bytes.Clone(text)
		damaged[at] ^= 1 << random.IntN(8)
		agrees(t, damaged)
		agrees(t, text[:at])
		agrees(t, slices.Delete(bytes.Clone(text), at, at+1))
		agrees(t, slices.Insert(bytes.Clone(text), at, byte(random.IntN(256))))
	}
}

func FuzzReadSet(f *testing.F) {
	key := jwkOf(rfcKey(f))
	for _, seed := range []string{
		`{"keys":[]}`, `{"keys":[` + key + `,` + key + `]}`, `{"x":{},"keys":[` + key + ` ]}`,
		`{"keys":[{"kty":"RSA","e":"AQAB","n":"` + rfcModulus + `"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		agrees(t, text)
	})
}

func TestReadSetKeepsErrorsApart(t *testing.T) {
	text := plainBytes(t, buildSet(t, 1, testKeys(t, 32, 3)...))
	broken := errors.New("broken")
	_, err := readSetKeys(io.MultiReader(bytes.NewReader(text[:600]), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || errors.Is(err, ErrKey) {
		t.Errorf("a reader's error comes as %v", err)
	}
	if _, err := readSetKeys(io.MultiReader(bytes.NewReader(text), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a reader's error after the set comes as %v", err)
	}
	if err := ReadSet(bytes.NewReader(text), func(Key) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("yield's error comes as %v", err)
	}
}

// ReadSet uses a bounded amount of memory for any input.
func TestReadSetIsBounded(t *testing.T) {
	jwk := string(testKeys(t, 33, 1)[0].AppendJWK(nil))
	for _, head := range []string{"", `{`, `{"x`, `{"x":"`, `{"x":[`, `{"keys":[`, `{"keys":[{"x":"`, `{"keys":[` + jwk + `,"`, `{"keys":[]`} {
		for _, more := range []string{" ", "1,", "[", `"a":1,`} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := readSetKeys(io.MultiReader(strings.NewReader(head), &endless{text: more}))
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrKey) {
				t.Errorf("%q and %q without end: %v", head, more, err)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
				t.Errorf("%q and %q without end take %d MiB", head, more, grown>>20)
			}
		}
	}
}

// Reading a large set uses no more memory than reading a small one.
func TestReadSetDoesNotHold(t *testing.T) {
	jwk := string(testKeys(t, 34, 1)[0].AppendJWK(nil)) + ","
	const count = 20_000
	body := io.MultiReader(
		strings.NewReader(`{"keys":[`),
		io.LimitReader(&endless{text: jwk}, int64(count*len(jwk)-1)),
		strings.NewReader(`]}`))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	if err := ReadSet(body, func(Key) error { n++; return nil }); err != nil || n != count {
		t.Fatalf("%d keys, %v", n, err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
		t.Errorf("%d bytes were taken", grown)
	}
}

func BenchmarkReadSet(b *testing.B) {
	for _, count := range []int{1000, 100_000} {
		text := plainBytes(b, buildSet(b, 1, testKeys(b, 35, count)...))
		rate := func(b *testing.B) { b.ReportMetric(float64(count)*float64(b.N)/b.Elapsed().Seconds(), "keys/s") }
		b.Run(fmt.Sprint("ReadSet/keys=", count), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := ReadSet(bytes.NewReader(text), func(Key) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			rate(b)
		})
		b.Run(fmt.Sprint("ParseSet/keys=", count), func(b *testing.B) {
			if count > 1000 {
				b.Skip("long")
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseSet(text); err != nil {
					b.Fatal(err)
				}
			}
			rate(b)
		})
	}
}
