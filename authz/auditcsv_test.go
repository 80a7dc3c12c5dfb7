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

// No cell is a formula in a spreadsheet of any locale, and harmless cells stay as they are.
func TestNoCellIsAFormula(t *testing.T) {
	for owner, want := range map[string]string{
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(1)": "'@SUM(1)", "\t=1": "'\t=1", " =1": "' =1", "\u00a0=1": "'\u00a0=1",
		"\ufeff=1": "'\ufeff=1", "＝1": "'＝1", "a;=1": "a;'=1", "a; =1": "a;' =1", "a\t-1": "a\t'-1", "a;b;@c": "a;b;'@c", "a\n=1": "a\n'=1",
		"cust_1": "cust_1", "a-b": "a-b", "a=b": "a=b", "jane@acme.example": "jane@acme.example", "a; b": "a; b", "": "",
	} {
		var out bytes.Buffer
		err := authz.WriteAuditCSV(&out, []store.Entry{{
			At: time.Unix(1, 0), Owner: owner, Actor: store.Actor{ID: owner}, Detail: []byte(`{"name":"x;=1","n":[1,-5]}`),
		}})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
		if err != nil || rows[1][4] != want || rows[1][6] != want || rows[1][8] != `{"name":"x\u003b=1","n":[1,-5]}` {
			t.Errorf("%q becomes %q, %v", owner, rows, err)
		}
	}
}
