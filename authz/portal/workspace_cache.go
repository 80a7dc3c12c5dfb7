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
	// lookLife is how long people without a session may see the old state of a workspace after a change
	// on another server. Changes on this server are visible at once.
	lookLife = 5 * time.Second
	// maxLooks limits the memory: the settings of one workspace may take 40 KiB.
	maxLooks = 200
)

// looks caches workspaces briefly, so that requests without a session and requests for pictures rarely
// read the database. It is safe for concurrent use.
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

// workspaceNow reads the current state of a workspace. Errors: authz.ErrNotFound.
func (v *visit) workspaceNow(ctx context.Context, id string) (store.Workspace, error) {
	updates := v.service.Updates()
	w, err := v.service.Workspace(ctx, id)
	if err == nil {
		v.looks.put(look{w, v.now().Add(lookLife), updates})
	}
	return w, err
}

// isThere reports whether a workspace exists, without reading the database.
func (p *portal) isThere(id string) bool {
	_, ok := p.publisher.Set(id)
	return ok || p.publisher.Unread(id)
}

// workspaceSeen returns the state of a workspace at most lookLife ago. Errors: authz.ErrNotFound.
func (v *visit) workspaceSeen(ctx context.Context, id string) (store.Workspace, error) {
	if seen := v.looks.get(id); v.now().Before(seen.until) && seen.updates == v.service.Updates() {
		return seen.Workspace, nil
	}
	return v.workspaceNow(ctx, id)
}

// isNobody reports whether the browser sent no cookie that could identify a person.
func (v *visit) isNobody() bool {
	return len(v.shownAs(cookieOf(v.r.PathValue("ws")), formerCookie, cookieOf(authz.Home))) == 0 && !v.hasLogin()
}

// lookOf returns a version for addresses that changes with the workspace's look.
func lookOf(w *store.Workspace) string { return strconv.FormatInt(w.UpdatedAt.UnixMicro(), 36) }

// Look returns it for templates.
func (p *view) Look() string { return lookOf(&p.visit.workspace) }
