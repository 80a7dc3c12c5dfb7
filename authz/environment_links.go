package authz

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/burnkey/burnkey/store"
)

// A link that opens several environments is stored as the link itself and a part for each further workspace. Ending the
// sessions of a workspace therefore also ends its part. The hash of a part is derived from the link's secret and is never
// the hash of a valid link, so a part can only be opened through its link.

// opens returns the further workspaces that a link opens, and adds the request's errors to bad.
func (s *Service) opens(ctx context.Context, w *store.Workspace, r LinkRequest, bad *InputError) (further []string, err error) {
	var family []store.Workspace
	if len(r.Environments) > 0 {
		if family, err = s.Family(ctx, w); err != nil {
			return nil, err
		}
	}
	bad.list("environments", r.Environments, 1+store.MaxEnvironments, func(id string) {
		if !slices.ContainsFunc(family, func(of store.Workspace) bool { return of.ID == id }) {
			bad.Add("environments", RuleNotFamily)
		} else if id != w.ID {
			further = append(further, id)
		}
	})
	for _, id := range further {
		if r.ScopesAllowed == nil || len(*bad) > 0 {
			break
		}
		of, err := s.store.Workspace(ctx, id)
		if err != nil {
			return nil, err
		}
		bad.offered("scopes_allowed", &of, r.ScopesAllowed)
	}
	return further, nil
}

// newLinks stores a link, and its parts for further workspaces. The parts come first: a link is complete, and a part
// without its link can't be opened.
func (s *Service) newLinks(ctx context.Context, link store.Session, further []string, life time.Duration) (Secret, store.Session, error) {
	secret, hash := newLinkSecret(&link)
	link.Hash, link.CreatedAt = hash, s.Now()
	link.ExpiresAt = link.CreatedAt.Add(life)
	ctx, cancel := settle(ctx)
	defer cancel()
	for _, id := range further {
		part := link
		part.Workspace, part.Hash = id, partOf(secret, id)
		if err := s.store.CreateSession(ctx, part); err != nil {
			return "", store.Session{}, err
		}
	}
	if err := s.store.CreateSession(ctx, link); err != nil {
		return "", store.Session{}, err
	}
	return secret, link, nil
}

// partOf returns the hash of a link's part for a further workspace.
func partOf(link Secret, workspace string) [sha256.Size]byte {
	return sha256.Sum256([]byte("burnkey environment\x00" + workspace + "\x00" + link.Reveal()))
}

// Opened is a session that a link opened, and its secret.
type Opened struct {
	Secret  Secret
	Session store.Session
}

// StartFurther opens the sessions in the further workspaces of a link, which StartSession has just exchanged for a
// session. A part that has ended meanwhile is left out.
func (s *Service) StartFurther(ctx context.Context, link Secret, session *store.Session) (opened []Opened, err error) {
	w, err := s.store.Workspace(ctx, session.Workspace)
	if err != nil {
		return nil, err
	}
	family, err := s.Family(ctx, &w)
	if err != nil {
		return nil, err
	}
	for _, of := range family {
		part := partOf(link, of.ID)
		if _, err := s.openedBy(ctx, part, store.KindLink); of.ID == w.ID || errors.Is(err, ErrNoSession) {
			continue
		}
		secret, begun, err := s.startSession(ctx, part, session.Embedded)
		if errors.Is(err, ErrNoSession) {
			continue
		}
		if err != nil {
			return opened, err
		}
		opened = append(opened, Opened{secret, begun})
	}
	return opened, nil
}
