package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// NewPortalSession describes a link to the portal. It is for an owner or, with the role operator, for the
// producer's staff.
type NewPortalSession struct {
	Role          string   `json:"role,omitempty"`
	Owner         string   `json:"owner,omitempty"`
	ScopesAllowed []string `json:"scopes_allowed,omitzero"` // nil: those of the policy; empty: none
	Subject       string   `json:"subject,omitempty"`       // the person, for the audit
	ReturnURL     string   `json:"return_url,omitempty"`
	Environments  []string `json:"environments,omitempty"` // further workspaces that the link opens
	ExpiresIn     int64    `json:"expires_in,omitempty"`   // seconds until the link is void
}

// PortalSession is a link that can be opened once. The first person who opens it gets the session.
type PortalSession struct {
	URL       Secret    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`

	Answer
}

func (s *PortalSession) complete() bool { return s.URL != "" }

// EndedSessions counts the sessions and links that were ended.
type EndedSessions struct {
	Ended int `json:"ended"`

	Answer
}

func (s *EndedSessions) complete() bool { return s.members()["ended"] != nil }

// CreatePortalSession makes a link to the portal.
func (c *Client) CreatePortalSession(ctx context.Context, workspace string, s NewPortalSession) (*PortalSession, error) {
	return call[PortalSession](ctx, c, request{method: http.MethodPost, path: []string{workspace, "portal-sessions"}, body: s})
}

// EndPortalSessions ends the portal sessions and links of an owner.
func (c *Client) EndPortalSessions(ctx context.Context, workspace, owner string) (*EndedSessions, error) {
	if owner == "" { // would end those of all owners
		return nil, errors.New("invalid owner: must not be empty")
	}
	return c.endSessions(ctx, workspace, url.Values{"owner": {owner}})
}

// EndAllPortalSessions ends all portal sessions and links of a workspace, including those of operators.
func (c *Client) EndAllPortalSessions(ctx context.Context, workspace string) (*EndedSessions, error) {
	return c.endSessions(ctx, workspace, nil)
}

func (c *Client) endSessions(ctx context.Context, workspace string, query url.Values) (*EndedSessions, error) {
	return call[EndedSessions](ctx, c, request{method: http.MethodDelete, path: []string{workspace, "portal-sessions"}, query: query})
}
