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
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/client"
)

// readAudits reads lists of audit entries. A later entry can undo what an earlier one did, also one of another list, but not
// what another source shows.
func (p *restorePlan) readAudits(ctx context.Context, files []string) error {
	var entries []archivedEntry
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		some, err := parseAudit(bytes.TrimPrefix(text, []byte(authz.CSVMark)))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		entries = append(entries, some...)
	}
	slices.SortStableFunc(entries, func(a, b archivedEntry) int { return a.At.Compare(b.At) })
	audit := newAudited(newRestorePlan(p.store, p.workspaces, p.now))
	for i := range entries {
		if err := audit.readEntry(ctx, &entries[i]); err != nil {
			return err
		}
	}
	for _, found := range audit.all() {
		p.add(found)
	}
	return nil
}

// auditColumns is the beginning of the header row, with all that parseAuditCSV reads.
const auditColumns = "at,action,result,key,owner,actor_kind,actor_id,from,detail,"

// parseAudit reads the forms that burnkey audit list and admin cut-audit write.
func parseAudit(text []byte) ([]archivedEntry, error) {
	if bytes.HasPrefix(text, []byte(auditColumns)) {
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
			return nil, errors.New("must be a list by burnkey audit list (csv or json), or an archive by burnkey admin cut-audit")
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
