package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// readAudit reads a list of audit entries.
func (p *restorePlan) readAudit(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	entries, err := parseAudit(bytes.TrimPrefix(text, []byte(authz.CSVMark)))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	slices.SortStableFunc(entries, func(a, b archivedEntry) int { return a.At.Compare(b.At) })
	for i := range entries {
		if err := p.readEntry(ctx, &entries[i]); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// parseAudit reads the forms that burnkey audit list and admin cut-audit write.
func parseAudit(text []byte) ([]archivedEntry, error) {
	if bytes.HasPrefix(text, []byte("at,action,result,key,")) {
		return parseAuditCSV(text)
	}
	var all []archivedEntry
	for in := json.NewDecoder(bytes.NewReader(text)); ; {
		var one struct {
			Entries *[]archivedEntry `json:"entries"`
			archivedEntry
		}
		err := in.Decode(&one)
		switch {
		case errors.Is(err, io.EOF) && len(text) > 0:
			return all, nil
		case err != nil:
			return nil, errors.New("must be a list that burnkey audit list has written as json or csv, or an archive of admin cut-audit")
		case one.Entries != nil:
			all = append(all, *one.Entries...)
		case one.Action == "":
			return nil, errors.New("an entry has no action")
		default:
			all = append(all, one.archivedEntry)
		}
	}
}

func parseAuditCSV(text []byte) (all []archivedEntry, err error) {
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, row := range rows[1:] {
		e := archivedEntry{Entry: client.Entry{Action: row[1], Result: row[2], Key: row[3], Owner: row[4], Detail: json.RawMessage(row[8])}}
		if e.At, err = time.Parse(time.RFC3339Nano, row[0]); err != nil {
			return nil, fmt.Errorf("invalid time: %w", err)
		}
		all = append(all, e)
	}
	return all, nil
}

// readEntry adds what an entry says about a key.
func (p *restorePlan) readEntry(ctx context.Context, e *archivedEntry) error {
	if e.Key == "" || e.Result != store.ResultOK {
		return nil
	}
	id, ok := store.ParseID(e.Key)
	if !ok {
		return fmt.Errorf("invalid id of a key: %q", e.Key)
	}
	found, err := p.store.KeysAnywhere(ctx, id, jwks.KID{}, 2)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		p.readLost(id, e)
	}
	for i := range found {
		if e.Workspace == "" || e.Workspace == found[i].Workspace {
			p.readChange(&found[i], e)
		}
	}
	return nil
}

// readLost adds a key that is not in the restored database, unless it was revoked.
func (p *restorePlan) readLost(id uuid.UUID, e *archivedEntry) {
	switch e.Action {
	case store.ActionKeyIssue:
		p.add(restored{
			workspace: e.Workspace, owner: e.Owner, id: id, act: actLost, why: "issued " + stamp(e.At) + ": its token is refused",
		})
	case store.ActionKeyRevoke, store.ActionGraceEnd:
		delete(p.keys, id)
	}
}

func (p *restorePlan) readChange(k *store.Key, e *archivedEntry) {
	switch e.Action {
	case store.ActionKeyRevoke, store.ActionGraceEnd:
		p.addKey(k, actRevoke, "revoked "+stamp(e.At), nil)
	case store.ActionKeyRotate:
		if k.RotatedTo == uuid.Nil {
			p.addKey(k, actCheck, "rotated "+stamp(e.At)+": its successor is lost, and it stays valid", nil)
		}
	case store.ActionKeyUpdate:
		if e.At.After(k.UpdatedAt) {
			p.readUpdate(k, e)
		}
	}
}

// readUpdate adds a suspension, and lists other changes that restrict a key: their exact values are not in all entries.
func (p *restorePlan) readUpdate(k *store.Key, e *archivedEntry) {
	var changes map[string]struct{ After json.RawMessage }
	if json.Unmarshal(e.Detail, &changes) != nil {
		return
	}
	switch string(changes["enabled"].After) {
	case "false":
		p.addKey(k, actChange, "suspended "+stamp(e.At), func(k *store.Key) { k.SuspendedAt = e.At })
		return
	case "true": // resumed: only this source can have added the suspension
		if known := p.keys[k.ID]; known != nil && known.act == actChange {
			delete(p.keys, k.ID)
		}
	}
	var fields []string
	for _, field := range []string{"allowed_ips", "expires_at", "scopes"} {
		if _, changed := changes[field]; changed {
			fields = append(fields, field)
		}
	}
	if len(fields) > 0 {
		p.addKey(k, actCheck, "changed "+stamp(e.At)+": "+strings.Join(fields, ", "), nil)
	}
}
