package portal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal/language"
	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/store"
)

// visit is one request, together with its workspace, session and language.
type visit struct {
	*portal
	w         http.ResponseWriter
	r         *http.Request
	language  *language.Language
	workspace store.Workspace // of the path or of the session; unknown if it has no ID
	session   store.Session
	secret    authz.Secret                   // of the session; empty if nobody is logged in
	opened    map[authz.Secret]store.Session // sessions looked up so far; no Workspace: there is no such session
	public    bool                           // the answer is the same for everybody
	rested    func()                         // releases the session that authorizes the visit, or nil
}

// handler answers a visit, or returns an error; failureOf maps it to a page.
type handler func(*visit) error

var errPanic = errors.New("a handler panicked")

// serve calls a handler in the workspace of the path.
func (p *portal) serve(h handler) http.HandlerFunc { return p.answer(h, false) }

// publish does the same as serve, for a handler whose answer does not depend on the person.
func (p *portal) publish(h handler) http.HandlerFunc { return p.answer(h, true) }

func (p *portal) answer(h handler, public bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{portal: p, w: w, r: r, public: public}
		v.language = p.languageOf(r)
		defer v.depart()
		defer func() {
			switch what := recover(); what {
			case nil:
			case http.ErrAbortHandler:
				panic(what)
			default:
				p.log.Error("a handler of the portal panicked", "request_id", v.requestID(), "stack", string(debug.Stack()))
				v.fail(fmt.Errorf("%w: %T", errPanic, what))
			}
		}()
		v.secure()
		if err := v.enter(h); err != nil {
			v.fail(err)
		}
	}
}

// rest binds the visit to its session: when the session ends, the request's context is cancelled.
func (v *visit) rest() {
	ctx, leave := v.service.AsSession(v.r.Context(), v.session)
	v.r, v.rested = v.r.WithContext(ctx), leave
}

func (v *visit) depart() {
	if v.rested != nil {
		v.rested()
	}
}

// enter reads the workspace first, because it decides who may frame the page.
func (v *visit) enter(h handler) error {
	if id := v.r.PathValue("ws"); id != "" {
		if authz.CheckWorkspaceID("ws", id) != nil || !v.isThere(id) {
			return errNowhere
		}
		of := v.workspaceNow
		if v.public || v.isNobody() {
			of = v.workspaceSeen
		}
		w, err := of(v.r.Context(), id)
		if errors.Is(err, authz.ErrNotFound) {
			return errNowhere
		}
		if err != nil {
			return err
		}
		v.settleIn(w)
	}
	return h(v)
}

func (v *visit) settleIn(w store.Workspace) {
	v.workspace = w
	v.secure()
}

// context returns the request's context with the person as the actor for the audit.
func (v *visit) context() context.Context { return v.as(&v.session) }

func (v *visit) as(s *store.Session) context.Context {
	return store.By(authz.BySession(v.r.Context(), s), store.Actor{Kind: s.ActorKind(), ID: s.Subject, From: v.from()})
}

func (v *visit) from() string { return clientaddr.Of(v.r.RemoteAddr) }

func (v *visit) requestID() string { return v.w.Header().Get("X-Request-Id") }

// path returns a path in the workspace, as browsers see it.
func (v *visit) path(parts ...string) string { return v.within(v.workspace.ID, parts...) }

// within returns a path in any workspace, as browsers see it.
func (v *visit) within(workspace string, parts ...string) string {
	return v.base + "/" + workspace + "/" + strings.Join(parts, "/")
}

func (v *visit) redirect(path string) error {
	v.w.Header().Set("Location", path)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}
