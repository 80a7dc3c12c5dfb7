package portal

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

func rotateKey(v *visit) error {
	k, err := v.key()
	if err != nil {
		return err
	}
	grace, ok := graceOf(v.r.PostForm.Get("grace"))
	once := v.r.PostForm.Get("once")
	switch {
	case k.Parent != uuid.Nil:
		return v.keyAgain(http.StatusConflict, k, "", v.fault("", "rotate.child"))
	case !v.mayHave(k.Scopes):
		return v.keyAgain(http.StatusForbidden, k, "", v.fault("", "rotate.wide"))
	case !ok || !isOnce(once):
		return v.keyAgain(http.StatusUnprocessableEntity, k, "", v.fault("grace", "fault.grace"))
	}
	issued, err := v.service.Rotate(v.context(), v.workspace.ID, k.ID,
		authz.RotateRequest{Grace: &grace, IdempotencyKey: v.once(once), Session: &v.session})
	if err != nil {
		return v.notRotated(k, err)
	}
	if k, err = v.service.Key(v.r.Context(), v.workspace.ID, k.ID); err != nil {
		// Showing the new token is more important than an error about the old key.
		return v.showIssued(issued, nil)
	}
	old := v.show(k)
	return v.showIssued(issued, &old)
}

func (v *visit) notRotated(k store.Key, err error) error {
	var input authz.InputError
	switch {
	case errors.As(err, &input):
		bad := v.faultsOf(input)
		for i := range bad {
			bad[i].Field = "" // the form has no fields for them
		}
		return v.keyAgain(http.StatusUnprocessableEntity, k, "", bad)
	case errors.Is(err, authz.ErrNotActive):
		return v.changedMeanwhile(k)
	case errors.Is(err, authz.ErrTooMany):
		return v.keyAgain(http.StatusConflict, k, "", v.fault("", "fault.rotations"))
	case errors.Is(err, authz.ErrBusy):
		v.retryAfter(authz.RetryAfter(err))
		return v.keyAgain(http.StatusServiceUnavailable, k, "", v.fault("", "fault.busy"))
	}
	return err
}

// changedMeanwhile shows the current state of a key that has changed since the form was shown.
func (v *visit) changedMeanwhile(k store.Key) error {
	k, err := v.keyOf(k.ID.String())
	if err != nil {
		return err
	}
	return v.keyAgain(http.StatusConflict, k, "", v.fault("", "fault.state"))
}

// graceOf reads one of graces in seconds.
func graceOf(text string) (time.Duration, bool) {
	seconds, err := strconv.ParseInt(text, 10, 32)
	grace := time.Duration(seconds) * time.Second
	return grace, err == nil && slices.Contains(graces, grace)
}

func undoRotation(v *visit) error { return v.settle(v.service.UndoRotation, "undone") }

func endGrace(v *visit) error { return v.settle(v.service.EndGrace, "ended") }

// settle completes or undoes the rotation of the key in the path.
func (v *visit) settle(how func(context.Context, string, uuid.UUID) (store.Key, error), what string) error {
	k, err := v.key()
	if err != nil {
		return err
	}
	old, err := how(v.context(), v.workspace.ID, k.ID)
	if errors.Is(err, authz.ErrNotActive) {
		return v.changedMeanwhile(k)
	}
	if err != nil {
		return err
	}
	return v.finish(old, what)
}
