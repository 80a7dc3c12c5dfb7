package authz

import (
	"context"
	"errors"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// AdminRequest requests the admin key that Bootstrap or the operator's command issues.
func AdminRequest() IssueRequest {
	return IssueRequest{Owner: "admin", Name: "admin", Scopes: []string{ScopeAdmin}, NeverExpires: true}
}

// Bootstrap creates Home in an empty database and issues the first admin key. It calls keep with the token
// before it stores the key: after an error of keep or a crash, the next start can issue another key. It reports
// whether it issued the key; if not, a token that keep received is void.
func (s *Service) Bootstrap(ctx context.Context, keep func(jwks.Token) error) (bool, error) {
	if err := s.ensureHome(ctx); err != nil {
		return false, err
	}
	keys, _, err := s.store.Keys(ctx, Home, store.Filter{Limit: 1})
	if err != nil || len(keys) > 0 {
		return false, err
	}
	request := AdminRequest()
	request.IdempotencyKey = firstAdminKey // so that only one of several servers that start together makes it
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

// IssueManagement issues a management key for an operator with direct access to the database. It creates Home
// if the database is empty. Errors: those of Issue.
func (s *Service) IssueManagement(ctx context.Context, r IssueRequest) (Issued, error) {
	if err := s.ensureHome(ctx); err != nil {
		return Issued{}, err
	}
	return s.Issue(ctx, Home, r)
}
