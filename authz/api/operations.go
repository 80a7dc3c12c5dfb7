package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Groups of operations, in the order of the reference.
const (
	tagKeys       = "Keys"
	tagRequests   = "Requests"
	tagWorkspaces = "Workspaces"
	tagLimits     = "Plans and limits"
	tagPortal     = "Portal"
	tagUsage      = "Use of keys"
	tagFeed       = "Feed"
	tagAudit      = "Audit"
	tagPublic     = "Public calls"
	tagOperation  = "Operation"
)

var tags = []*huma.Tag{
	{Name: tagKeys, Description: "Issue, find, change, rotate and revoke keys."},
	{Name: tagRequests, Description: "Owners request plans and scopes for their keys, and you approve or decline."},
	{Name: tagWorkspaces, Description: "A workspace is one tenant: one issuer, one published set, one policy."},
	{Name: tagLimits, Description: "Limits on requests that many keys share: plans, and those of owners, routes, addresses and a workspace."},
	{Name: tagPortal, Description: "Links to the page on which owners and operators manage keys."},
	{Name: tagUsage, Description: "Reports of when keys were last used."},
	{Name: tagFeed, Description: "For gateways: published keys with what is not public, their attributes and limits."},
	{Name: tagAudit, Description: "All changes and refusals."},
	{Name: tagPublic, Description: "Calls without a credential, also for pages of any origin."},
	{Name: tagOperation, Description: "Health, metrics and documentation of the server."},
}

// operations has each operation's group, and its description unless the call has its own.
var operations = map[string]struct{ tag, description string }{
	"create-workspace": {tagWorkspaces, "Its published set holds only the tombstone until the first key is issued."},
	"list-workspaces":  {tagWorkspaces, "A tied key sees only its own workspace. The list continues while there is a next_cursor."},
	"get-workspace":    {tagWorkspaces, "Without the scope workspaces:read, the answer has neither policy nor portal."},
	"update-workspace": {tag: tagWorkspaces},

	"issue-key": {tag: tagKeys},
	"list-keys": {
		tagKeys, "Answers never contain a token. The list continues while there is a next_cursor, even after a short or empty page.",
	},
	"get-key": {tagKeys, "Revoked and expired keys can be looked up, too. The answer never contains the token."},
	"find-key": {
		tagKeys, "By its id, its kid or, for an imported key, its digest, without the name of its workspace. 404 also for a key of a workspace " +
			"that the caller may not read.",
	},
	"update-key":    {tag: tagKeys},
	"revoke-key":    {tag: tagKeys},
	"rotate-key":    {tag: tagKeys},
	"end-grace":     {tag: tagKeys},
	"undo-rotation": {tag: tagKeys},
	"revoke-keys":   {tag: tagKeys},
	"update-keys":   {tag: tagKeys},
	"import-keys":   {tag: tagKeys},
	"create-plan":   {tag: tagLimits},
	"list-plans":    {tagLimits, "The list continues while there is a next_cursor."},
	"get-plan":      {tagLimits, "The keys with a plan are in the list of keys: GET …/keys?plan=."},
	"update-plan":   {tag: tagLimits},
	"delete-plan":   {tag: tagLimits},
	"list-limits":   {tagLimits, "Owners come first, then routes, addresses and the total. The list continues while there is a next_cursor."},
	"get-limits":    {tagLimits, "On owner and route, name is required."},
	"set-limits":    {tag: tagLimits},
	"delete-limits": {tagLimits, "On owner and route, name is required."},
	"report-usage":  {tag: tagUsage},

	"create-request":   {tag: tagRequests},
	"list-requests":    {tagRequests, "The list continues while there is a next_cursor, even after a short page."},
	"get-request":      {tagRequests, "Decided requests can be looked up, too, until their owner has 200 newer ones."},
	"approve-request":  {tag: tagRequests},
	"decline-request":  {tag: tagRequests},
	"withdraw-request": {tag: tagRequests},

	introspectID: {
		tagKeys, "For a service that doesn't verify tokens itself. An OAuth client can send the management key as its client_secret (Basic). " +
			"active: false does not say why.",
	},

	feedID:     {tag: tagFeed},
	"feed-set": {tag: tagFeed},

	"create-portal-session": {
		tagPortal, "The link works once, and opens a session of half an hour. Send it only to the person it is for.",
	},
	"end-portal-sessions": {tag: tagPortal},
	"list-audit":          {tagAudit, "The list continues while there is a next_cursor, even after a short or empty page."},
	"export-audit":        {tagAudit, "One page. The header Link has the address of the next page, if there is one."},

	"jwks": {
		tagPublic, "A JSON Web Key Set (RFC 7517) with a strong ETag, which is the version and the beginning of the set's fingerprint. " +
			"It always holds the tombstone, a key for which no token was signed. gzip is used if the request accepts it. The headers " +
			"Burnkey-Version, Burnkey-Fingerprint and Age say which state of the set it is, and how old.",
	},
	"metadata": {
		tagPublic, "The issuer's metadata (RFC 8414, OpenID Connect Discovery), at the paths of both standards and at those that clients mix up.",
	},
	"changes": {tag: tagPublic},
	"revoke-token": {
		tagPublic, "The holder of a token may revoke it, without another credential. 200 also for a text that is not a token of a key of the " +
			"workspace; status tells them apart. 400 for an access token of the exchange, which can't be revoked.",
	},
	"exchange-key": {
		tagPublic, "RFC 6749 section 4.4, RFC 7523 and RFC 8693. The access token is a JWT that is valid for minutes (RFC 9068), signed by a " +
			"key of the workspace's set. It can have fewer scopes and audiences than the key, but never more, and never outlives it. 404 unless " +
			"policy.exchange.enabled. 503 with Retry-After until a signing key is usable.",
	},

	"token-limits": {
		tagPublic, "The holder of a token (Authorization: Bearer TOKEN) sees the limits of its key, its plan and its owner. A gateway reports " +
			"remaining about once a minute, as it was at the key's latest use; gateways that share no counts each have their own. Limits of " +
			"routes, addresses and the workspace are not shown.",
	},

	"healthz":       {tagOperation, "Answers as long as the process runs, also without its database."},
	"readyz":        {tagOperation, "503 while a check fails, and after SIGTERM. detail names the failed check."},
	"metrics":       {tagOperation, "All metrics of the server, in the text format of Prometheus."},
	"docs":          {tagOperation, "This page: the operations and schemas of the server's OpenAPI document, without scripts."},
	"docs-problems": {tagOperation, "All kinds of problems."},
	"docs-problem":  {tagOperation, "The page to which the type of a problem leads: its cause, and the next step."},
	"docs-refusals": {tagOperation, "The page to which the type of a gateway's refusal leads: its causes, and the next step."},
	"docs-style":    {tagOperation, "The only file that the pages of the reference load."},
	"openapi":       {tagOperation, "The description from which the server's own reference at /docs is rendered."},
}

// examples has a request and a response of each operation. In PATCH requests, both media types have the same example.
//
//go:embed examples.json
var examplesText []byte

type example struct {
	Request  any `json:"request"`
	Response any `json:"response"`
}

// describeOperations adds groups, descriptions and examples to all operations.
func describeOperations(doc *huma.OpenAPI) error {
	var examples map[string]example
	if err := json.Unmarshal(examplesText, &examples); err != nil {
		return fmt.Errorf("examples.json: %w", err)
	}
	doc.Tags = tags
	for _, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Head, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			id := strings.TrimSuffix(op.OperationID, "-head")
			if strings.HasPrefix(id, "metadata-") {
				id = "metadata"
			}
			op.Tags = []string{operations[id].tag}
			if op.Description == "" {
				op.Description = operations[id].description
			}
			addExamples(op, id, examples[id])
		}
	}
	return nil
}

func addExamples(op *huma.Operation, id string, of example) {
	if op.RequestBody != nil {
		for _, content := range op.RequestBody.Content {
			content.Example = of.Request
		}
	}
	for code, response := range op.Responses {
		status, err := strconv.Atoi(code)
		if err != nil {
			continue
		}
		for _, content := range response.Content {
			switch content.Example = of.Response; {
			case status < http.StatusBadRequest:
			case id == "exchange-key" && status <= http.StatusUnauthorized:
				content.Example = exampleOAuth(status)
			default:
				content.Example = exampleProblem(id, status)
			}
		}
	}
	for _, p := range op.Parameters {
		switch {
		case p.In == "path" && p.Name == "ws":
			p.Example = "acme"
		case p.In == "path" && p.Name == "id":
			p.Example = "01939f4e-8a2b-7c3d-9e4f-5a6b7c8d9e0f"
		}
	}
}

// usual has the problems of operations for which the first kind with the status would be a poor example.
var usual = map[string]*Kind{
	"issue-key 409": kindRepeated, "rotate-key 409": kindState, "end-grace 409": kindState, "undo-rotation 409": kindState,
	"revoke-keys 409": kindUsageUnknown, "update-keys 409": kindUsageUnknown, "update-key 409": kindState,
	"create-request 409": kindRequestOpen, "approve-request 409": kindDecided, "decline-request 409": kindDecided,
	"withdraw-request 409": kindDecided,
	"changes 429":          kindAddressReaders, "changes 503": kindReaders, "jwks 503": kindNoSet,
	"exchange-key 503": kindNoSigner,
	"feed 503":         kindReaders, "feed-set 503": kindNoSet,
	"create-plan 409": kindPlanExists, "delete-plan 409": kindPlanInUse, "set-limits 409": kindLimitsFull,
	"readyz 503": kindNotReady,
}

func exampleOAuth(status int) *OAuthError {
	if status == http.StatusUnauthorized {
		return &OAuthError{Code: "invalid_client", Description: "The key is not valid."}
	}
	return &OAuthError{Code: "invalid_scope", Description: "Each scope must be among the scopes of the key."}
}

func exampleProblem(id string, status int) *Problem {
	k, ok := usual[id+" "+strconv.Itoa(status)]
	if !ok {
		k = kindOf(status)
	}
	if status == http.StatusNotFound {
		k = kindNotFound
	}
	p := newProblem(k, k.Title+".")
	if p.Type = "https://keys.example.com" + problemsPath + "/" + k.Code; k.Code == kindQuota.Code {
		p.Type = quotaType
	}
	return p
}
