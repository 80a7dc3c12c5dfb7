package jwks

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestChangeReadsBack(t *testing.T) {
	keys := testKeys(t, 20, 4)
	for _, want := range []Change{
		{Version: 1},
		{Version: 1 << 62, Add: keys},
		{Version: 7, Remove: []KID{keys[0].kid}},
		{Version: 8, Add: keys[1:3], Remove: []KID{keys[0].kid, keys[3].kid}},
	} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Change
		if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s reads as %+v, %v", text, got, err)
		}
	}
}

func TestChangeRefuses(t *testing.T) {
	key := testKeys(t, 21, 1)[0]
	jwk, kid := string(key.AppendJWK(nil)), key.kid.String()
	good := fmt.Sprintf(`{"version":3,"add":[%s],"remove":["%s"]}`, jwk, kid)
	for _, bad := range []string{
		``, `null`, `{}`, `[]`, `3`, good + `x`, good + good, good[:len(good)-1],
		`{"version":3,"add":[]}`, `{"version":3,"remove":[]}`, `{"add":[],"remove":[]}`,
		`{"version":0,"add":[],"remove":[]}`, `{"version":-1,"add":[],"remove":[]}`, `{"version":"3","add":[],"remove":[]}`,
		`{"version":3.0,"add":[],"remove":[]}`, `{"version":18446744073709551616,"add":[],"remove":[]}`,
		`{"version":null,"add":[],"remove":[]}`, `{"version":3,"add":null,"remove":[]}`, `{"version":3,"add":[],"remove":null}`,
		`{"version":3,"add":{},"remove":[]}`, `{"version":3,"add":[],"remove":[null]}`, `{"version":3,"add":[null],"remove":[]}`,
		`{"version":3,"version":3,"add":[],"remove":[]}`, `{"version":3,"add":[],"add":[],"remove":[]}`,
		`{"version":3,"add":[],"remove":[],"x":1}`, `{"Version":3,"add":[],"remove":[]}`,
		`{"version":3,"add":[],"remove":["` + kid[:42] + `"]}`, `{"version":3,"add":[],"remove":["` + respell(kid) + `"]}`,
		strings.Replace(good, `"AQAB"`, `"Aw"`, 1), strings.Replace(good, `"use":"sig"`, `"use":"sig","use":"sig"`, 1),
		strings.Replace(good, jwk, jwk+jwk, 1), "\ufeff" + good,
	} {
		before := Change{Version: 9}
		if err := before.UnmarshalJSON([]byte(bad)); !errors.Is(err, ErrChange) || !reflect.DeepEqual(before, Change{Version: 9}) {
			t.Errorf("%s gives %+v, %v", bad, before, err)
		}
	}
	var c Change
	if err := c.UnmarshalJSON([]byte(" " + good + "\n")); err != nil || !slices.Equal(c.Add, []Key{key}) {
		t.Errorf("white space: %+v, %v", c, err)
	}
}

func FuzzChange(f *testing.F) {
	text, err := json.Marshal(Change{Version: 3, Add: testKeys(f, 22, 2), Remove: []KID{{1}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"version":3,"add":[],"remove":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var c, again Change
		if c.UnmarshalJSON(text) != nil {
			return
		}
		canonical, err := c.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := again.UnmarshalJSON(canonical); err != nil || !reflect.DeepEqual(again, c) || c.Version == 0 {
			t.Errorf("%s is %+v and then %+v, %v", text, c, again, err)
		}
	})
}
