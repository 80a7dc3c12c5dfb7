package portal

import (
	"errors"
	"io"
	"net/http"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// lookForm is the form for a name, a colour and a logo.
type lookForm struct {
	Version      string // of the settings when the form was shown
	Name, Accent string
	Logo         bool // there is a logo
}

// maxSettings limits the bytes of a form with a picture. It exceeds the picture's limit, so that a
// picture that is too large is a fault of its field.
const maxSettings = 4 << 20

func (v *visit) lookForm() lookForm {
	p := &v.workspace.Portal
	return lookForm{lookVersion(&v.workspace), p.DisplayName, p.Accent, p.LogoHash != ""}
}

// lookVersion returns the version of all settings that this form can change.
func lookVersion(w *store.Workspace) string {
	p, _, _ := w.Portal.Stored(w.Portal) // as a store returns it
	return version(store.Portal{DisplayName: p.DisplayName, Accent: p.Accent, LogoHash: p.LogoHash})
}

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

// picture returns the uploaded picture, or nil. A picture that is too large is read only far enough for authz
// to refuse it. Errors: errForm.
func (v *visit) picture() ([]byte, error) {
	file, _, err := v.r.FormFile("logo")
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
		return nil, nil
	}
	if err != nil {
		return nil, errForm
	}
	defer func() { _ = file.Close() }() // the file is in memory
	return io.ReadAll(io.LimitReader(file, authz.MaxLogo+1))
}

// lookTexts returns the labels and values of the form's fields, without the picture.
func (v *visit) lookTexts(f *lookForm) []typedText {
	t := v.language.Text
	return []typedText{{t("settings.name"), f.Name}, {t("settings.accent"), f.Accent}}
}
