package portal

import (
	"errors"
	"io"
	"net/http"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// lookForm is how the page looks, as a form has it.
type lookForm struct {
	Version      string // of what it was when the form was shown
	Name, Accent string
	Logo         bool // there is one
}

// maxSettings is of a form with a picture, in bytes: more than is kept, so that what is too
// large is told of at its field.
const maxSettings = 4 << 20

func (v *visit) lookForm() lookForm {
	p := &v.workspace.Portal
	return lookForm{lookVersion(&v.workspace), p.DisplayName, p.Accent, p.LogoHash != ""}
}

// lookVersion is of all that the form may change.
func lookVersion(w *store.Workspace) string {
	p, _, _ := w.Portal.Kept(w.Portal) // as a store gives it back
	return version(store.Portal{DisplayName: p.DisplayName, Accent: p.Accent, LogoHash: p.LogoHash})
}

// saveLook keeps what the form says, and says what of it can't be.
func saveLook(v *visit) error {
	from := v.r.PostForm
	var bad faults
	text := func(name string) string { return v.tokenless(from, name, name, &bad) }
	typed := lookForm{Version: from.Get("version"), Name: text("name"), Accent: text("accent")}
	retyped := func(p *settingsPage) {
		typed.Logo = p.Look.Logo
		p.Look = typed
	}
	picture, err := v.picture()
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		return v.settingsRefused(bad, retyped)
	}
	err = v.change(typed.Version, lookVersion, func(w *store.Workspace) {
		w.Portal.DisplayName, w.Portal.Accent = typed.Name, typed.Accent
		switch {
		case picture != nil:
			w.Portal.Logo = picture
		case from.Get("nologo") == "yes":
			w.Portal.LogoHash = ""
		}
	})
	return v.settingsSaved(err, "look", retyped)
}

// picture reads the one that was sent, or nil: of one that is too large, no more than what
// authz refuses together with all else that is wrong. Errors: errForm.
func (v *visit) picture() ([]byte, error) {
	file, _, err := v.r.FormFile("logo")
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
		return nil, nil
	}
	if err != nil {
		return nil, errForm
	}
	defer func() { _ = file.Close() }() // it is in memory
	return io.ReadAll(io.LimitReader(file, authz.MaxLogo+1))
}

// lookTexts are the form's fields, in words. A picture can't be said.
func (v *visit) lookTexts(f *lookForm) []typedText {
	t := v.language.Text
	return []typedText{{t("settings.name"), f.Name}, {t("settings.accent"), f.Accent}}
}
