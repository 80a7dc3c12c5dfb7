package api

// descriptions has, by schema and member, descriptions that are too long for a struct tag, or of stored types.
var descriptions = map[string]string{
	"NewKey.audience":           "Among the workspace's audiences; default: those of the policy, or all",
	"Policy.scopes":             "Scopes that keys may have. If empty: any through the API, none through the portal",
	"Policy.max_expires_in":     "Seconds; 0: ten years through the API, one year through the portal. A maximum excludes endless keys",
	"Policy.default_expires_in": "Seconds; 0: 90 days, or the maximum if that is shorter",
	"Policy.keys_per_owner":     "Active keys that one owner may have; 0: unlimited",
	"Policy.portal_never_expires": "Whether owners may create keys that never expire in the portal; requires allow_never_expires and no " +
		"maximum",
	"Policy.default_audience": "Audience of keys whose request has none; if empty, all audiences of the workspace",
	"Policy.webhook": "An https URL that receives a POST 14, 7 and 1 day before a key expires. It must not contain a secret: all readers " +
		"of the workspace and of its audit see it",
	"OfferedScope.description": "Permissions of the scope, for customers to read",
	"OIDC.owner_claim":         "Claim that names the owner; required except in the workspace burnkey, where only operators log in",
	"OIDC.operator_claim":      "Claim that makes a person an operator",
	"OIDC.operator_value":      "A value that this claim must be or contain",
	"NewPortalSession.role": "Default: owner. An operator, one of the producer's own staff, sees the keys of all owners. Only the scope " +
		"admin may make one; in the workspace burnkey, where operators manage all workspaces, only a key that is not tied to a workspace",
	"NewPortalSession.owner":          "The owner whose keys it shows; required for an owner, absent for an operator",
	"NewPortalSession.scopes_allowed": "Scopes that keys created in this session may have; default: those of the policy. Absent for operators",
	"NewPortalSession.subject":        "The person it is for, such as jane@acme.example: the actor's id in the audit. Default: the key's id",
	"Rotation.grace":                  "Time for which the old key keeps working: 0 to 2160h, such as 90m, 720h, 30d or 3600; default 24h",
	"RevokeMany.unused_for":           "Keys created, and last used as far as known, longer ago than this: 24h or more, such as 720h or 30d",
	"UsageReport.reporter": "Name of the reporter. Usage is known up to the time for which all reporters have reported, except those that " +
		"are silent for 24 hours. Default: the management key",
	"Actor.kind": "key: a management key; session, oidc: an owner in the portal, by a link or a login; operator: the producer's own staff " +
		"there; token: the holder of a token; system: the server itself; cli: the command line, on the database",
	"Field.code": "Stable name of the broken rule; absent if the value does not match this document or the body cannot be read",
}
