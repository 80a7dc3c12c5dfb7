package portal

import (
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// changeKey changes the key in the path as read from the form. An owner can change only what the page offers;
// authz enforces this in the transaction of the change.
func (v *visit) changeKey(what string, read func(*authz.KeyPatch) faults) error {
	k, err := v.key()
	if err != nil {
		return err
	}
	var p authz.KeyPatch
	if !isOperator(&v.session) {
		p.Session = &v.session
	}
	if bad := read(&p); len(bad) > 0 {
		return v.keyAgain(http.StatusUnprocessableEntity, k, "", bad)
	}
	if p.ExpiresAt != nil {
		parent, err := v.related(k.Parent)
		if err != nil {
			return err
		}
		*p.ExpiresAt = v.boundsOf(&k, parent).toBound(*p.ExpiresAt)
	}
	changed, err := v.service.UpdateKey(v.context(), v.workspace.ID, k.ID, p)
	if err != nil {
		return v.notChanged(k, err)
	}
	if p.Enabled != nil && *p.Enabled && !changed.SuspendedAt.IsZero() { // its parent is suspended
		return toKey(v)
	}
	return v.finish(changed, what)
}

// notChanged shows the key's page again if the person can correct the error.
func (v *visit) notChanged(k store.Key, err error) error {
	var input authz.InputError
	switch {
	case errors.Is(err, authz.ErrNotActive), errors.As(err, &input) && slices.ContainsFunc(input, isMeanwhile):
		return v.changedMeanwhile(k)
	case errors.As(err, &input):
		return v.keyAgain(http.StatusUnprocessableEntity, k, "", v.faultsOf(input))
	}
	return err
}

// isMeanwhile reports whether the key has changed since its form was shown, so that it no longer has this form.
func isMeanwhile(f authz.FieldError) bool {
	return slices.Contains([]string{
		authz.RuleSuspendedByProducer.Code, authz.RuleSuspendedByParent.Code, authz.RuleNotSuspended.Code,
	}, f.Code)
}

func renameKey(v *visit) error {
	return v.changeKey("named", func(p *authz.KeyPatch) faults {
		name := strings.TrimSpace(v.r.PostForm.Get("name"))
		if p.Name = &name; name == "" {
			return v.fault("name", "fault.name.empty")
		}
		return nil
	})
}

func pauseKey(v *visit) error {
	return v.changeKey("paused", func(p *authz.KeyPatch) (bad faults) {
		reason := v.tokenless(v.r.PostForm, "reason", "reason", &bad)
		p.Enabled, p.SuspendedReason = new(bool), &reason
		return bad
	})
}

func resumeKey(v *visit) error {
	return v.changeKey("resumed", func(p *authz.KeyPatch) faults {
		enabled := true
		p.Enabled = &enabled
		return nil
	})
}

// changeAddresses reads addresses and networks that are separated by white space or commas.
func changeAddresses(v *visit) error {
	return v.changeKey("addresses", func(p *authz.KeyPatch) (bad faults) {
		typed := v.tokenless(v.r.PostForm, "addresses", "addresses", &bad)
		list := addressesIn(typed)
		p.AllowedIPs = &list
		return bad
	})
}

func addressesIn(text string) []string { return strings.Fields(strings.ReplaceAll(text, ",", " ")) }

// expirySigned is the choice of the expiry that the token has.
const expirySigned = "signed"

func changeExpiry(v *visit) error {
	return v.changeKey("expiry", func(p *authz.KeyPatch) faults {
		switch v.r.PostForm.Get("expiry") {
		case expiryNever:
			p.NeverExpires = true
		case expirySigned:
			p.SignedExpiry = true
		case expiryDate:
			date, err := time.Parse(time.DateOnly, v.r.PostForm.Get("date"))
			if err != nil {
				return v.fault("expiry", "fault.expiry.date")
			}
			until := endOf(date)
			if p.ExpiresAt = &until; !until.After(v.now()) {
				return v.fault("expiry", "fault.expiry.past")
			}
		default:
			return v.fault("expiry", "fault.expiry")
		}
		return nil
	})
}

// changeScopes reads ticked scopes or, if the workspace has no list of scopes, an operator's text.
func changeScopes(v *visit) error {
	return v.changeKey("scopes", func(p *authz.KeyPatch) faults {
		scopes := []string{}
		for _, value := range v.r.PostForm["scopes"] {
			scopes = append(scopes, strings.Fields(value)...)
		}
		p.Scopes = &scopes
		return nil
	})
}

// changePlan is for operators: owners can only request a plan.
func changePlan(v *visit) error {
	return v.changeKey("plan", func(p *authz.KeyPatch) faults {
		plan := v.r.PostForm.Get("plan")
		p.Plan = &plan
		return nil
	})
}

// typedIn returns a field's value as typed if the request is the form with this action, or else the present value.
// A token is not shown again.
func (v *visit) typedIn(action, field, present string) string {
	if !v.isForm(action) {
		return present
	}
	if text := v.r.PostForm.Get(field); !strings.Contains(text, jwks.TokenPrefix) {
		return text
	}
	return ""
}

// isForm reports whether the request is the form with this action of a key's page.
func (v *visit) isForm(action string) bool {
	return v.r.Method == http.MethodPost && path.Base(v.r.URL.Path) == action
}
