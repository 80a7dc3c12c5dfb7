package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/burnkey/burnkey/store"
)

// createLogos creates a table for logos, which have up to 64 KiB. They are not in the settings, which are read
// for each key that is issued; the settings only contain a logo's hash.
const createLogos = `CREATE TABLE logos (
	workspace TEXT NOT NULL PRIMARY KEY REFERENCES workspaces (id),
	png       BLOB NOT NULL
) STRICT`

// indexGrace finds an owner's keys in their grace among any number of other keys.
const indexGrace = `CREATE INDEX keys_in_grace ON keys (workspace, owner, id)
	WHERE revoked_at IS NULL AND expired_version IS NULL AND grace_ends_at IS NOT NULL`

// moveLogos is the fourth migration. It is written in Go because SQLite can't decode base64.
func moveLogos(ctx context.Context, t *sql.Tx) error {
	for _, query := range []string{createLogos, indexGrace} {
		if _, err := t.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	portals, err := portalsWithLogo(ctx, t)
	if err != nil {
		return err
	}
	for workspace, text := range portals {
		if err := moveLogo(ctx, t, workspace, text); err != nil {
			return fmt.Errorf("the logo of workspace %s: %w", workspace, err)
		}
	}
	return nil
}

func portalsWithLogo(ctx context.Context, t *sql.Tx) (map[string]string, error) {
	rows, err := t.QueryContext(ctx, `SELECT workspace, portal FROM settings WHERE portal ->> 'logo' <> ''`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	portals := make(map[string]string)
	for rows.Next() {
		var workspace, text string
		if err := rows.Scan(&workspace, &text); err != nil {
			return nil, err
		}
		portals[workspace] = text
	}
	return portals, rows.Err()
}

func moveLogo(ctx context.Context, t *sql.Tx, workspace, text string) error {
	var with struct {
		store.Portal
		Logo []byte `json:"logo"`
	}
	if err := json.Unmarshal([]byte(text), &with); err != nil {
		return err
	}
	with.Portal.Logo = with.Logo
	stored, logo, _ := with.Portal.Stored(store.Portal{})
	portal, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	if _, err := t.ExecContext(ctx, `INSERT INTO logos (workspace, png) VALUES (?, ?)`, workspace, logo); err != nil {
		return err
	}
	_, err = t.ExecContext(ctx, `UPDATE settings SET portal = ? WHERE workspace = ?`, string(portal), workspace)
	return err
}
