package portal

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

const (
	// exportMost bounds an export, which is complete before its first byte is sent: a
	// part of it must not be taken for all.
	exportMost = 10_000
	// exportBytes bounds its details: that of a policy may be of 150 KB.
	exportBytes = 16 << 20
	exportStep  = 100
)

// export answers with the latest entries that fit the filter, as a file. One is made at a
// time, for its memory.
func (v *visit) export(kind, ending string, write func(b *bytes.Buffer, entries []store.Entry, more bool) error) error {
	p, f, bad, err := v.auditOf(v.r.URL.Query())
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		return v.again(statusOf(bad), "audit", "audit.title", p, bad)
	}
	select {
	case v.exports <- struct{}{}:
		defer func() { <-v.exports }()
	case <-v.r.Context().Done():
		return v.r.Context().Err()
	}
	entries, more, err := v.exported(f)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := write(&b, entries, more); err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", `attachment; filename="`+v.workspace.ID+`-audit.`+ending+`"`)
	_, _ = v.w.Write(b.Bytes()) // a reader who has gone needs no answer
	return nil
}

func (v *visit) exported(f store.AuditFilter) (entries []store.Entry, more bool, err error) {
	f.Limit = exportStep
	size := 0
	for {
		step, err := v.service.Audit(v.r.Context(), v.workspace.ID, f)
		if err != nil {
			return nil, false, err
		}
		for _, e := range step {
			if size += len(e.Detail); size > exportBytes || len(entries) == exportMost {
				return entries, true, nil
			}
			entries = append(entries, e)
		}
		if len(step) < f.Limit {
			return entries, false, nil
		}
		f.After = step[len(step)-1].ID
	}
}

func exportCSV(v *visit) error {
	return v.export("text/csv; charset=utf-8; header=present", "csv", func(b *bytes.Buffer, entries []store.Entry, _ bool) error {
		b.WriteString(authz.CSVMark)
		return authz.WriteAuditCSV(b, entries)
	})
}

// exportedEntry is an entry as the API shows it.
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

func exportJSON(v *visit) error {
	return v.export("application/json", "json", func(b *bytes.Buffer, entries []store.Entry, more bool) error {
		file := struct {
			Entries []exportedEntry `json:"entries"`
			More    bool            `json:"more"` // there are older ones
		}{make([]exportedEntry, len(entries)), more}
		for i, e := range entries {
			file.Entries[i] = exportedEntry{
				ID: e.ID.String(), At: e.At, Actor: exportedActor(e.Actor), Action: e.Action, Owner: e.Owner, Result: e.Result, Detail: e.Detail,
			}
			if e.Key != uuid.Nil {
				file.Entries[i].Key = e.Key.String()
			}
		}
		return json.NewEncoder(b).Encode(file)
	})
}
