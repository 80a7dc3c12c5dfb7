package portal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

const (
	exportMost  = 10_000   // entries in an export
	exportBytes = 16 << 20 // of all details together; the detail of a policy change may take 150 KB
	exportStep  = 100      // entries in memory at once
)

// sheet is a file written in parts.
type sheet interface {
	Write(entries []store.Entry) error
	end(more bool) error // more: older entries were left out
}

// export answers with a file of the latest entries that match the filter, and holds only a few entries in
// memory. An error aborts the connection, so that a partial file is not mistaken for a complete one.
func (v *visit) export(kind, ending string, begin func(w io.Writer) sheet) error {
	p, f, bad, err := v.auditOf(v.r.URL.Query())
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		return v.render(http.StatusUnprocessableEntity, "audit", "audit.title", p, bad...)
	}
	f.Limit = exportStep
	step, next, err := v.service.Audit(v.context(), v.workspace.ID, f)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", `attachment; filename="`+v.workspace.ID+`-audit.`+ending+`"`)
	if err := v.exportFrom(begin(v.w), f, step, next); err != nil {
		v.log.Warn("an export of the audit ended early", "request_id", v.requestID(), "workspace", v.workspace.ID, "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (v *visit) exportFrom(file sheet, f store.AuditFilter, step []store.Entry, next uuid.UUID) (err error) {
	for count, size := 0, 0; ; {
		fits := 0
		for fits < len(step) && count < exportMost && size+len(step[fits].Detail) <= exportBytes {
			size += len(step[fits].Detail)
			count, fits = count+1, fits+1
		}
		if err := file.Write(step[:fits]); err != nil {
			return err
		}
		if fits < len(step) || next == uuid.Nil {
			return file.end(fits < len(step))
		}
		f.After = next
		if step, next, err = v.service.Audit(v.context(), v.workspace.ID, f); err != nil {
			return err
		}
	}
}

type csvSheet struct{ *authz.AuditCSV }

func (csvSheet) end(bool) error { return nil }

func exportCSV(v *visit) error {
	return v.export("text/csv; charset=utf-8; header=present", "csv", func(w io.Writer) sheet {
		_, _ = io.WriteString(w, authz.CSVMark) // writing the table returns the same error
		return csvSheet{authz.NewAuditCSV(w)}
	})
}

// exportedEntry is an audit entry in the same form as in the API.
type exportedEntry struct {
	ID     string          `json:"id"`
	At     time.Time       `json:"at"`
	Actor  exportedActor   `json:"actor"`
	Action string          `json:"action"`
	Key    string          `json:"key,omitempty"`
	Owner  string          `json:"owner,omitempty"`
	Result string          `json:"result"`
	Detail json.RawMessage `json:"detail"`
}

type exportedActor struct {
	Kind string `json:"kind"`
	ID   string `json:"id,omitempty"`
	From string `json:"from,omitempty"`
}

// jsonSheet writes {"entries":[…],"more":false}.
type jsonSheet struct {
	w    io.Writer
	next string // text before the next entry
}

func (s *jsonSheet) Write(entries []store.Entry) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, e := range entries {
		shown := exportedEntry{
			ID: e.ID.String(), At: e.At, Actor: exportedActor(e.Actor), Action: e.Action, Owner: e.Owner, Result: e.Result, Detail: e.Detail,
		}
		if e.Key != uuid.Nil {
			shown.Key = e.Key.String()
		}
		b.WriteString(s.next)
		s.next = ","
		if err := enc.Encode(shown); err != nil {
			return err
		}
	}
	_, err := s.w.Write(b.Bytes())
	return err
}

func (s *jsonSheet) end(more bool) error {
	before := ""
	if s.next != "," { // no entry was written
		before = s.next
	}
	_, err := fmt.Fprintf(s.w, "%s],\"more\":%v}\n", before, more)
	return err
}

func exportJSON(v *visit) error {
	return v.export("application/json", "json", func(w io.Writer) sheet { return &jsonSheet{w: w, next: `{"entries":[`} })
}
