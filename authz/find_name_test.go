package authz_test

import (
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
)

func TestNameIn(t *testing.T) {
	id, other, kid := "019cb8c0-5b60-7000-8000-041be44e7c8d", "019cb8c0-5b60-7000-8000-041be44e7c8e", strings.Repeat("aB3_-x", 7)+"A"
	for text, want := range map[string]string{
		id: id, " \ufeff" + id + "\r\n": id, "“" + id + "”.": id,
		"ID: " + strings.ToUpper(id): strings.ToUpper(id), "/keys/" + id + "/revoke?a": id,
		kid: kid, `"kid":"` + kid + `",`: kid, `{"id":"` + id + `","kid":"` + kid + `"}`: id, id + " " + id: id,
		strings.Join(strings.Split(id, ""), "\x00"): id,
		"": "", "x": "", id + " " + other: "", id[1:]: "", id + "0": "", "{" + id[:35]: "", kid[1:]: "", kid + "a": "",
		kid + " " + kid[:42] + "E": "",
	} {
		if got, ok := authz.NameIn(text); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", text, got, ok)
		}
	}
}
