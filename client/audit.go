package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Entry is an entry of the audit log: what was done or refused, when, and by which actor.
type Entry struct {
	ID     string          `json:"id"`
	At     time.Time       `json:"at"`
	Actor  Actor           `json:"actor"`
	Action string          `json:"action"`
	Key    string          `json:"key,omitempty"`
	Owner  string          `json:"owner,omitempty"`
	Result string          `json:"result"` // ok or refused
	Detail json.RawMessage `json:"detail"`

	Answer
}

// Actor is the cause of an entry. Kind is key, session, oidc, operator, token, system or cli.
type Actor struct {
	Kind string `json:"kind"`
	ID   string `json:"id,omitempty"`
	From string `json:"from,omitempty"` // address
}

func (e *Entry) complete() bool { return e.ID != "" && e.Action != "" }

// AuditFilter selects entries; its zero value selects all.
type AuditFilter struct {
	Owner, Key, Action, Actor, Result string

	Since time.Time // this time or later
	Until time.Time // before this time
}

func (f *AuditFilter) query() url.Values {
	return filter(map[string]string{
		"owner": f.Owner, "key": f.Key, "action": f.Action, "actor": f.Actor, "result": f.Result,
		"since": timeText(f.Since), "until": timeText(f.Until),
	})
}

// Audit lists the audit entries of a workspace, the latest first.
func (c *Client) Audit(workspace string, f AuditFilter) List[Entry] {
	return List[Entry]{c: c, path: []string{workspace, "audit"}, member: "entries", query: f.query()}
}

// ExportAudit writes the entries as one CSV table. The output begins with a byte order mark and a header line.
func (c *Client) ExportAudit(ctx context.Context, workspace string, f AuditFilter, w io.Writer) error {
	for cursor, first := "", true; first || cursor != ""; first = false {
		answer, err := c.send(ctx, request{
			method: http.MethodGet, path: []string{workspace, "audit.csv"}, query: pageQuery(f.query(), MaxPage, cursor), repeatable: true,
		})
		if err != nil {
			return err
		}
		table := answer.text
		if !first {
			_, table, _ = bytes.Cut(table, []byte("\n"))
		}
		if _, err := w.Write(table); err != nil {
			return err
		}
		last := cursor
		if cursor = nextCursor(answer.header); cursor != "" && cursor == last {
			return fmt.Errorf("%w: the table has no end", errAnswer)
		}
	}
	return nil
}

// nextCursor returns the cursor from a Link header such as <?cursor=…&limit=100>; rel="next".
func nextCursor(header http.Header) string {
	target, ok := strings.CutSuffix(header.Get("Link"), `>; rel="next"`)
	if !ok {
		return ""
	}
	next, err := url.Parse(strings.TrimPrefix(target, "<"))
	if err != nil {
		return ""
	}
	return next.Query().Get("cursor")
}
