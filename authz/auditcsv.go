package authz

import (
	"encoding/csv"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// WriteAuditCSV writes entries as a table with a line of titles (RFC 4180). Errors: w's.
func WriteAuditCSV(w io.Writer, entries []store.Entry) error {
	table := csv.NewWriter(w)
	_ = table.Write([]string{"at", "action", "result", "key", "owner", "actor_kind", "actor_id", "from", "detail", "id"})
	for _, e := range entries {
		key := ""
		if e.Key != uuid.Nil {
			key = e.Key.String()
		}
		_ = table.Write(harmless(e.At.Format(time.RFC3339Nano), e.Action, e.Result, key, e.Owner, e.Actor.Kind, e.Actor.ID, e.Actor.From,
			string(e.Detail), e.ID.String()))
	}
	table.Flush()
	return table.Error()
}

// harmless keeps spreadsheets from taking a cell for a formula: an owner is free text.
func harmless(cells ...string) []string {
	for i, cell := range cells {
		if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
			cells[i] = "'" + cell
		}
	}
	return cells
}
