package portal

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

const (
	// lookLife is for how long those who are nobody are shown a workspace as it was, if
	// another server has changed it. What is changed here counts at once.
	lookLife = 5 * time.Second
	// maxLooks bounds the memory for it: a workspace's settings may be of 40 KiB.
	maxLooks = 200
)

// looks remembers for a moment what everybody may see of workspaces, so that strangers and
// pictures cost the database next to nothing. It is safe for concurrent use.
type looks struct {
	mu    sync.Mutex
	known map[string]look
}

type look struct {
	store.Workspace
	until   time.Time
	updates uint64 // before it was read
}

func (l *looks) get(id string) look {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known[id]
}

func (l *looks) put(one look) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil || len(l.known) >= maxLooks {
		l.known = make(map[string]look)
	}
	l.known[one.ID] = one
}

// workspaceNow returns a workspace as it is. Errors: authz.ErrNotFound.
func (v *visit) workspaceNow(ctx context.Context, id string) (store.Workspace, error) {
	updates := v.service.Updates()
	w, err := v.service.Workspace(ctx, id)
	if err == nil {
		v.looks.put(look{w, v.now().Add(lookLife), updates})
	}
	return w, err
}

// isThere reports whether there is such a workspace, by what is published: to ask for one
// that is not costs nothing.
func (p *portal) isThere(id string) bool {
	_, ok := p.publisher.Set(id)
	return ok || p.publisher.Unread(id)
}

// workspaceSeen returns one as it was a moment ago. Errors: authz.ErrNotFound.
func (v *visit) workspaceSeen(ctx context.Context, id string) (store.Workspace, error) {
	if seen := v.looks.get(id); v.now().Before(seen.until) && seen.updates == v.service.Updates() {
		return seen.Workspace, nil
	}
	return v.workspaceNow(ctx, id)
}

// isNobody reports whether the browser shows nothing by which somebody is known: then no
// more than what everybody may see is at stake.
func (v *visit) isNobody() bool {
	return len(v.shownAs(cookieOf(v.r.PathValue("ws")), formerCookie, cookieOf(authz.Home))) == 0 && !v.hasLogin()
}

// lookOf tells how a workspace looks from how it has looked before, for addresses.
func lookOf(w *store.Workspace) string { return strconv.FormatInt(w.UpdatedAt.UnixMicro(), 36) }

// Look is the workspace's, for templates.
func (p *view) Look() string { return lookOf(&p.visit.workspace) }
