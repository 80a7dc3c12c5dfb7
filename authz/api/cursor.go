package api

import (
	"encoding/base64"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// A cursor is the encoded id of the last item of a page. It carries no authority: every page is
// authorized again.

func cursor(id string) *string {
	text := base64.RawURLEncoding.EncodeToString([]byte(id))
	return &text
}

// cursorAt returns the cursor of a list that continues after an id, or nil at the end.
func cursorAt(next uuid.UUID) *string {
	if next == uuid.Nil {
		return nil
	}
	return cursor(next.String())
}

var errCursor = authz.Invalid("cursor", authz.RuleNotCursor)

// after returns the workspace id in the cursor, or nothing for none.
func (p *Page) after() (string, error) {
	id, err := base64.RawURLEncoding.Strict().DecodeString(p.Cursor)
	if err != nil || p.Cursor != "" && authz.CheckWorkspaceID("cursor", string(id)) != nil {
		return "", errCursor
	}
	return string(id), nil
}

// afterKey returns the key id in the cursor, or uuid.Nil for none.
func (p *Page) afterKey() (uuid.UUID, error) {
	if p.Cursor == "" {
		return uuid.Nil, nil
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(p.Cursor)
	if err != nil {
		return uuid.Nil, errCursor
	}
	id, ok := store.ParseID(string(text))
	if !ok {
		return uuid.Nil, errCursor
	}
	return id, nil
}
