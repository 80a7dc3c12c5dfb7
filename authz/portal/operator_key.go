package portal

import (
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// anyKeyPage is the content of a key's page as an operator sees it.
type anyKeyPage struct {
	Key              shownKey
	Old, New         *shownKey // that it succeeds, and that succeeds it
	Claims, Metadata excerpt
	Confirm          string // as typed
	Records          []record
	UsableAfter      int // seconds
}

func showAnyKey(v *visit) error {
	k, err := v.anyKey(v.r.PathValue("id"))
	if err != nil {
		return err
	}
	v.remember()
	return v.anyKeyAgain(http.StatusOK, k, v.notice(k.ID.String(), "found", "revoked"), nil)
}

// anyKeyAgain shows a key's page, with what is wrong with its form.
func (v *visit) anyKeyAgain(status int, k store.Key, notice string, bad faults) error {
	p := &anyKeyPage{
		Key: v.show(k), Claims: excerptOf(k.Claims), Metadata: excerptOf(k.Metadata),
		Confirm: v.r.PostForm.Get("confirm"), UsableAfter: int(usableAfter / time.Second),
	}
	var err error
	if p.Old, err = v.anyRelated(k.RotatedFrom); err != nil {
		return err
	}
	if p.New, err = v.anyRelated(k.RotatedTo); err != nil {
		return err
	}
	entries, _, err := v.service.Audit(v.context(), v.workspace.ID, store.AuditFilter{Key: k.ID, Limit: eventsOfKey})
	if err != nil {
		return err
	}
	p.Records = v.records(entries)
	return v.renderView(status, &view{Page: "any", Title: p.Key.Name, Notice: notice, Content: p, Faults: bad})
}

// anyRelated returns a key of the same rotation, or nil where there is none.
func (v *visit) anyRelated(id uuid.UUID) (*shownKey, error) {
	if id == uuid.Nil {
		return nil, nil
	}
	k, err := v.anyKey(id.String())
	if errors.Is(err, errNowhere) {
		return nil, nil
	}
	shown := v.show(k)
	return &shown, err
}

// revokeAnyKey wants to be told which key, as revokeKey does.
func revokeAnyKey(v *visit) error {
	k, err := v.anyKey(v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if !names(v.show(k), v.r.PostForm.Get("confirm")) {
		return v.anyKeyAgain(http.StatusUnprocessableEntity, k, "", v.fault("confirm", "fault.confirm"))
	}
	if k, err = v.service.Revoke(v.context(), v.workspace.ID, k.ID); err != nil {
		return err
	}
	return v.redirect(v.path("operator", "keys", k.ID.String()) + v.done("revoked", k.ID.String()))
}
