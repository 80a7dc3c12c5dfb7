package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store/internal/rows"
)

// addFingerprint has the statements of the tenth migration. Any change of the published set, even a manual
// change or one by an earlier version of the program, sets the fingerprint to zero, which no set has: a server
// then compares the whole set. SQLite has no exclusive or, so the program stores the new fingerprint after its
// own changes.
var addFingerprint = []string{
	`ALTER TABLE workspaces ADD COLUMN fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32)
		DEFAULT x'0000000000000000000000000000000000000000000000000000000000000000'`,
	`CREATE TRIGGER jwks_inserted AFTER INSERT ON jwks BEGIN ` + resetFingerprint + `id = NEW.workspace; END`,
	`CREATE TRIGGER jwks_deleted AFTER DELETE ON jwks BEGIN ` + resetFingerprint + `id = OLD.workspace; END`,
	`CREATE TRIGGER jwks_updated AFTER UPDATE ON jwks BEGIN ` + resetFingerprint + `id IN (OLD.workspace, NEW.workspace); END`,
}

const resetFingerprint = `UPDATE workspaces SET fingerprint = zeroblob(32) WHERE fingerprint <> zeroblob(32) AND `

// addFingerprints is the tenth migration. It is written in Go because SQLite has no exclusive or.
func addFingerprints(ctx context.Context, t *sql.Tx) error {
	for _, query := range addFingerprint {
		if _, err := t.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	prints, err := fingerprints(ctx, t, `SELECT workspace, kid FROM jwks`)
	if err != nil {
		return err
	}
	for workspace, print := range prints {
		if _, err := t.ExecContext(ctx, `UPDATE workspaces SET fingerprint = ? WHERE id = ?`, print[:], workspace); err != nil {
			return err
		}
	}
	return nil
}

// fingerprints computes the fingerprints of published sets from their workspaces and kids.
func fingerprints(ctx context.Context, t *sql.Tx, query string, args ...any) (map[string]jwks.Fingerprint, error) {
	found, err := t.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	prints := make(map[string]jwks.Fingerprint)
	for found.Next() {
		var (
			workspace string
			raw       []byte
		)
		if err := found.Scan(&workspace, &raw); err != nil {
			return nil, err
		}
		kid, err := rows.KID(raw)
		if err != nil {
			return nil, fmt.Errorf("workspace %s: %w", workspace, err)
		}
		print := prints[workspace]
		print.Toggle(&kid)
		prints[workspace] = print
	}
	return prints, found.Err()
}
