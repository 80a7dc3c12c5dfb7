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

// settingsPage is the content of the page of what the workspace is set to. Who gets in and
// where data goes, customers' new tokens too, are not for whoever has got to this page: that
// is the API's.
type settingsPage struct {
	W      store.Workspace
	Policy policyForm
	Look   lookForm
	Typed  []typedText // what was typed and is not kept, since somebody else was quicker
	Units  []string
}

// typedText is what somebody typed into a field, by its label.
type typedText struct{ Label, Text string }

func showSettings(v *visit) error {
	v.remember()
	return v.renderView(http.StatusOK, v.settingsView(v.notice("settings", "policy", "look"), nil))
}

// settingsView shows the settings as they are.
func (v *visit) settingsView(notice string, bad faults) *view {
	return &view{
		Page: "settings", Title: v.language.Text("settings.title"), Notice: notice, Faults: bad,
		Content: &settingsPage{W: v.workspace, Policy: v.policyForm(), Look: v.lookForm(), Units: unitNames},
	}
}

// errMeanwhile: somebody else has changed the same settings since the form was shown.
var errMeanwhile = errors.New("the settings have changed meanwhile")

// version tells settings from others. It is of what one form shows, so that who changes one
// is not in the way of who changes the other.
func version(shown any) string {
	text, _ := json.Marshal(shown) // never fails: they are texts and numbers
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// change alters settings by a form that was shown when they were of a version.
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

// settingsSaved leads back to the settings, or says why they were not saved: with what was
// typed in the form, but for where others' changes would be undone by it unseen.
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

// settingsMeanwhile shows the settings as they are by now, and apart from them what was
// typed.
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

// differing are the fields in which what was typed is not what is there.
func (v *visit) differing(now, typed *settingsPage) (texts []typedText) {
	is := append(v.policyTexts(&now.Policy), v.lookTexts(&now.Look)...)
	for i, text := range append(v.policyTexts(&typed.Policy), v.lookTexts(&typed.Look)...) {
		if text != is[i] {
			texts = append(texts, text)
		}
	}
	return texts
}
