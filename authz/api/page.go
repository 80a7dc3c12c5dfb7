package api

import (
	"encoding/base64"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// Page selects a page of a list. The cursor is the encoded id of the last item of the previous page. The cursor
// grants no rights: every page is authorized again.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Maximum number of entries; a page also ends at about 1 MiB"`
	Cursor string `query:"cursor" maxLength:"128" doc:"next_cursor of the previous page"`
}

func cursor(id string) *string {
	text := base64.RawURLEncoding.EncodeToString([]byte(id))
	return &text
}

// cursorAt returns the cursor of a page that begins after the id `next`, or nil for uuid.Nil.
func cursorAt(next uuid.UUID) *string {
	if next == uuid.Nil {
		return nil
	}
	return cursor(next.String())
}

// after decodes the id in the cursor and checks it with isID. Without a cursor, it returns "".
func (p *Page) after(isID func(string) bool) (string, error) {
	id, err := base64.RawURLEncoding.Strict().DecodeString(p.Cursor)
	if err != nil || p.Cursor != "" && !isID(string(id)) {
		return "", authz.Invalid("cursor", authz.RuleNotCursor)
	}
	return string(id), nil
}

func (p *Page) afterWorkspace() (string, error) {
	return p.after(func(id string) bool { return authz.CheckWorkspaceID("cursor", id) == nil })
}

// afterKey decodes the key id in the cursor. Without a cursor, it returns uuid.Nil.
func (p *Page) afterKey() (id uuid.UUID, err error) {
	_, err = p.after(func(text string) (ok bool) {
		id, ok = store.ParseID(text)
		return ok
	})
	return id, err
}
