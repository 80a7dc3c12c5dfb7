package portal

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// settingsPage is the data of the page with the workspace's settings. Settings that decide who can log
// in, or where data such as new tokens is sent, can be changed only by the API.
type settingsPage struct {
	W      store.Workspace
	Policy policyForm
	Look   lookForm
	Typed  []typedText // typed but not stored, since somebody else saved first
	Units  []string
}

// typedText is the label and the value of a field.
type typedText struct{ Label, Text string }

func showSettings(v *visit) error {
	v.remember()
	return v.renderView(http.StatusOK, v.settingsView(v.notice("settings", "policy", "look"), nil))
}

// settingsView shows the current settings.
func (v *visit) settingsView(notice string, bad faults) *view {
	return &view{
		Page: "settings", Title: v.language.Text("settings.title"), Notice: notice, Faults: bad,
		Content: &settingsPage{W: v.workspace, Policy: v.policyForm(), Look: v.lookForm(), Units: unitNames},
	}
}

// errMeanwhile means that the same settings were changed after the form was shown.
var errMeanwhile = errors.New("the settings have changed meanwhile")

// version returns a hash of one form's settings, so that a change in the other form does not conflict.
func version(shown any) string {
	text, _ := json.Marshal(shown) // never fails
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// change updates the settings if their version, returned by of, is still the one that the form showed.
// Errors: errMeanwhile.
func (v *visit) change(was string, of func(*store.Workspace) string, alter func(*store.Workspace)) error {
	_, err := v.service.UpdateWorkspace(v.context(), v.workspace.ID, func(w *store.Workspace) error {
		if of(w) != was {
			return errMeanwhile
		}
		alter(w)
		return nil
	})
	return err
}

// settingsSaved redirects to the settings page, or shows the form again with the typed values and the
// faults. If somebody else saved first, the form shows the stored values, and the typed values are listed
// beside it.
func (v *visit) settingsSaved(err error, what string, retyped func(*settingsPage)) error {
	var input authz.InputError
	switch {
	case err == nil:
		return v.redirect(v.path("operator", "settings") + v.done(what, "settings"))
	case errors.As(err, &input):
		return v.settingsRefused(v.faultsOf(input), retyped)
	case errors.Is(err, errMeanwhile):
		return v.settingsMeanwhile(retyped)
	}
	return err
}

func (v *visit) settingsRefused(bad faults, retyped func(*settingsPage)) error {
	shown := v.settingsView("", bad)
	retyped(shown.Content.(*settingsPage))
	return v.renderView(http.StatusUnprocessableEntity, shown)
}

// settingsMeanwhile shows the stored settings in the form, and the typed values separately.
func (v *visit) settingsMeanwhile(retyped func(*settingsPage)) error {
	w, err := v.service.Workspace(v.r.Context(), v.workspace.ID)
	if err != nil {
		return err
	}
	v.settleIn(w)
	shown := v.settingsView("", v.fault("", "fault.settings.meanwhile"))
	now, typed := shown.Content.(*settingsPage), *shown.Content.(*settingsPage)
	retyped(&typed)
	now.Typed = v.differing(now, &typed)
	return v.renderView(http.StatusConflict, shown)
}

// differing returns the typed fields that differ from the current settings.
func (v *visit) differing(now, typed *settingsPage) (texts []typedText) {
	is := append(v.policyTexts(&now.Policy), v.lookTexts(&now.Look)...)
	for i, text := range append(v.policyTexts(&typed.Policy), v.lookTexts(&typed.Look)...) {
		if text != is[i] {
			texts = append(texts, text)
		}
	}
	return texts
}
