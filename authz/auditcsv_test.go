package authz_test

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// No cell is a formula in a spreadsheet of any locale, and harmless cells are not changed.
func TestNoCellIsAFormula(t *testing.T) {
	for owner, want := range map[string]string{
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(1)": "'@SUM(1)", "\t=1": "'\t=1", " =1": "' =1", "\u00a0=1": "'\u00a0=1",
		"\ufeff=1": "'\ufeff=1", "＝1": "'＝1", "a;=1": "a;'=1", "a; =1": "a;' =1", "a\t-1": "a\t'-1", "a;b;@c": "a;b;'@c", "a\n=1": "a\n'=1",
		`a;"=1&"`: `a;'"=1&"`, `a; ""=1`: `a;' ""=1`, `"=1`: `'"=1`, `a|"=1`: `a|'"=1`, "a\t\"=1": "a\t'\"=1", `say "a"`: `say "a"`,
		"cust_1": "cust_1", "a-b": "a-b", "a=b": "a=b", "jane@acme.example": "jane@acme.example", "a; b": "a; b", "": "",
	} {
		var out bytes.Buffer
		err := authz.WriteAuditCSV(&out, []store.Entry{{
			At: time.Unix(1, 0), Owner: owner, Actor: store.Actor{ID: owner}, Detail: []byte(`{"name":"x;=1","n":[1,-5],"url":"a|=b"}`),
		}})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
		if err != nil || rows[1][4] != want || rows[1][6] != want || rows[1][8] != `{"name":"x\u003b=1","n":[1,-5],"url":"a\u007c=b"}` {
			t.Errorf("%q becomes %q, %v", owner, rows, err)
		}
	}
}

// TestNoFieldIsAFormula parses the table with other separators, as spreadsheets in other locales do. Quotes
// within a cell can then begin a field.
func TestNoFieldIsAFormula(t *testing.T) {
	for _, separator := range []rune{',', ';', '\t', '|'} {
		for _, cell := range []string{`x|"=1&"`, `x|"" "+1`, `"x";"=1&"`, "x\t\"@a", `;;"-1`} {
			owner := strings.ReplaceAll(cell, "|", string(separator))
			var out bytes.Buffer
			err := authz.WriteAuditCSV(&out, []store.Entry{{At: time.Unix(1, 0), Owner: owner, Detail: []byte(`{}`)}})
			if err != nil {
				t.Fatal(err)
			}
			r := csv.NewReader(strings.NewReader(out.String()))
			r.Comma, r.LazyQuotes, r.FieldsPerRecord = separator, true, -1
			rows, err := r.ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			for _, field := range rows[len(rows)-1] {
				if begun := strings.TrimLeft(field, ` "`); begun != "" && strings.ContainsRune("=+-@", rune(begun[0])) {
					t.Errorf("%q, separated by %q, has the field %q", owner, separator, field)
				}
			}
		}
	}
}
