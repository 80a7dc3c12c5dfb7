package authz

import (
	"encoding/csv"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// CSVMark is to come before CSV that a browser saves to a file: by a byte order mark alone
// do spreadsheets read UTF-8.
const CSVMark = "\ufeff"

// WriteAuditCSV writes entries as a table with a line of titles (RFC 4180). Errors: w's.
func WriteAuditCSV(w io.Writer, entries []store.Entry) error {
	return NewAuditCSV(w).Write(entries)
}

// AuditCSV is such a table, which may be written in parts.
type AuditCSV struct{ table *csv.Writer }

// NewAuditCSV begins one; its line of titles is written with the first entries, or none.
func NewAuditCSV(w io.Writer) *AuditCSV {
	table := csv.NewWriter(w)
	_ = table.Write([]string{"at", "action", "result", "key", "owner", "actor_kind", "actor_id", "from", "detail", "id"})
	return &AuditCSV{table}
}

// Write adds entries. Errors: the writer's.
func (c *AuditCSV) Write(entries []store.Entry) error {
	table := c.table
	for _, e := range entries {
		key := ""
		if e.Key != uuid.Nil {
			key = e.Key.String()
		}
		_ = table.Write(harmless(e.At.Format(time.RFC3339Nano), e.Action, e.Result, key, e.Owner, e.Actor.Kind, e.Actor.ID, e.Actor.From,
			strings.ReplaceAll(string(e.Detail), ";", `\u003b`), e.ID.String())) // the same JSON
	}
	table.Flush()
	return table.Error()
}

// formula finds where a spreadsheet would begin one: at the start of a cell, after what
// separates cells in other locales, and there also after what nobody sees.
var formula = regexp.MustCompile(`(^|[;\t\r\n|])([\s\p{Z}\p{Cf}]*[=+\-@＝＋－＠])`)

// harmless keeps spreadsheets from taking a cell for a formula: an owner is free text.
func harmless(cells ...string) []string {
	for i, cell := range cells {
		cells[i] = formula.ReplaceAllString(cell, "$1'$2")
	}
	return cells
}
