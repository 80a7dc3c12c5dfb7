package authz

import (
	"context"
	"encoding/csv"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// Audit lists the entries of a workspace, the latest first, in pages like those of Keys.
// Errors: ErrNotFound, *CrowdedError, and ErrTooSlow for a search that has found nothing.
func (s *Service) Audit(ctx context.Context, workspace string, f store.AuditFilter) ([]store.Entry, uuid.UUID, error) {
	if _, err := s.store.Workspace(ctx, workspace); err != nil {
		return nil, uuid.Nil, err
	}
	f.Rows = rowsATurn
	p, err := pageOf(ctx, s.reads, workspace, f.After, f.Limit, f.Narrows(), func(e *store.Entry) int { return 256 + len(e.Detail) },
		func(ctx context.Context, after uuid.UUID, limit, bytes int) ([]store.Entry, uuid.UUID, error) {
			f := f
			f.After, f.Limit, f.Bytes = after, limit, bytes
			return s.store.Audit(ctx, workspace, f)
		})
	return p.items, p.next, err
}

// CSVMark is a byte order mark. Spreadsheets read a CSV file as UTF-8 only if it begins with one.
const CSVMark = "\ufeff"

// WriteAuditCSV writes entries as a table with a header row (RFC 4180). Errors: those of w.
func WriteAuditCSV(w io.Writer, entries []store.Entry) error {
	return NewAuditCSV(w).Write(entries)
}

// AuditCSV is a table of audit entries that is written in parts.
type AuditCSV struct{ table *csv.Writer }

// NewAuditCSV begins a table. The first Write also writes the header row, even without entries.
func NewAuditCSV(w io.Writer) *AuditCSV {
	table := csv.NewWriter(w)
	_ = table.Write([]string{"at", "action", "result", "key", "owner", "actor_kind", "actor_id", "from", "detail", "id"})
	return &AuditCSV{table}
}

// Write adds entries. Errors: those of the underlying writer.
func (c *AuditCSV) Write(entries []store.Entry) error {
	table := c.table
	for _, e := range entries {
		key := ""
		if e.Key != uuid.Nil {
			key = e.Key.String()
		}
		_ = table.Write(harmless(e.At.Format(time.RFC3339Nano), e.Action, e.Result, key, e.Owner, e.Actor.Kind, e.Actor.ID, e.Actor.From,
			escapeSeparators.Replace(string(e.Detail)), e.ID.String()))
	}
	table.Flush()
	return table.Error()
}

// escapeSeparators escapes cell separators in JSON. The value stays the same: they occur only in strings.
var escapeSeparators = strings.NewReplacer(";", `\u003b`, "|", `\u007c`)

// formula matches the places where a spreadsheet would begin a formula: at the start of a cell, and after
// characters that separate cells in other locales. Spaces, invisible characters and quotes can come between:
// read with another separator, quotes inside a cell surround a cell of their own.
var formula = regexp.MustCompile(`(^|[;\t\r\n|])([\s\p{Z}\p{Cf}"]*[=+\-@＝＋－＠])`)

// harmless escapes cells that a spreadsheet would read as formulas. Owners, for example, can be any string.
func harmless(cells ...string) []string {
	for i, cell := range cells {
		cells[i] = formula.ReplaceAllString(cell, "$1'$2")
	}
	return cells
}
