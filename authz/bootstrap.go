package authz

import (
	"context"
	"errors"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// AdminRequest is the management key that Bootstrap and the operator's own command issue.
func AdminRequest() IssueRequest {
	return IssueRequest{Owner: "admin", Name: "admin", Scopes: []string{ScopeAdmin}, NeverExpires: true}
}

// Bootstrap gives an empty database its Home workspace and the first admin key, whose token it hands to keep before
// the key comes to be: an error of keep, or a crash, leaves a database that the next start bootstraps again. It
// reports whether it made the key; if not, what keep was given is void.
func (s *Service) Bootstrap(ctx context.Context, keep func(jwks.Token) error) (bool, error) {
	if err := s.ensureHome(ctx); err != nil {
		return false, err
	}
	keys, _, err := s.store.Keys(ctx, Home, store.Filter{Limit: 1})
	if err != nil || len(keys) > 0 {
		return false, err
	}
	request := AdminRequest()
	request.IdempotencyKey = firstAdminKey // of servers that start together, one makes it
	_, err = s.issue(ctx, Home, request, keep)
	if errors.Is(err, store.ErrIdempotencyKey) {
		return false, nil
	}
	return err == nil, err
}

const firstAdminKey = "first-admin-key"

func (s *Service) ensureHome(ctx context.Context) error {
	_, err := s.CreateWorkspace(ctx, WorkspaceRequest{ID: Home, Name: "Burnkey", AllowNeverExpires: true})
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// IssueManagement issues a key of Home's, creating Home where the database is
// empty: for the operator, who has the database itself. Errors are Issue's.
func (s *Service) IssueManagement(ctx context.Context, r IssueRequest) (Issued, error) {
	if err := s.ensureHome(ctx); err != nil {
		return Issued{}, err
	}
	return s.Issue(ctx, Home, r)
}
