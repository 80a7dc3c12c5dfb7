package api

// descriptions has, by schema and member, descriptions that are too long for a struct tag, or of stored types.
var descriptions = map[string]string{
	"FeedSet.keys":     "The published keys and the tombstone",
	"FeedSet.set":      "By kid: expires_at, never_expires, scopes, allowed_ips, plan and limits of keys that have attributes",
	"FeedSet.settings": "Settings of the workspace that differ from their defaults: token_prefix, bare_until and environment",
	"FeedSet.imported": "Imported keys: id, owner, digest, audience, imported_at and attributes",
	"FeedSet.limits":   "Limits that keys share: on (plan, owner, route, address or total), name and limits",
	"NewKey.audience":  "Among the workspace's audiences; default: those of the policy, or all",
	"ImportKeys.keys":  "The keys, each of which is checked on its own",
	"ImportKey.digest": "SHA-256 of the key as clients send it, or HMAC-SHA-256 with a pepper that only burnkey gateway has: sha256: or " +
		"hmac-sha256:, and 32 bytes in hexadecimal or base64url",
	"ImportKey.audience":        "Among the workspace's audiences; default: those of the policy, or all",
	"ImportResult.status":       "imported: stored by this call. exists: the owner has or had it already; nothing was changed",
	"Policy.scopes":             "Scopes that keys may have. If empty: any through the API, none through the portal",
	"Policy.max_expires_in":     "Seconds; 0: ten years through the API, one year through the portal. A maximum excludes endless keys",
	"Policy.default_expires_in": "Seconds; 0: 90 days, or the maximum if that is shorter",
	"Policy.keys_per_owner":     "Active keys that one owner may have; 0: unlimited",
	"Policy.portal_never_expires": "Whether owners may create keys that never expire in the portal; requires allow_never_expires and no " +
		"maximum",
	"Policy.default_audience": "Audience of keys whose request has none; if empty, all audiences of the workspace",
	"Policy.webhook": "An https URL that receives a POST 14, 7 and 1 day before a key expires, and of requests for plans and scopes. It " +
		"must not contain a secret: all readers of the workspace and of its audit see it",
	"Policy.expiry": "claim, the default: exp is signed into the token. publication: it is not; the JWK leaves the set at that time, and " +
		"a change of the time also holds at gateways that know only the set",
	"Policy.token_type": "The typ of the tokens of new keys: JWT, the default, or at+jwt, with client_id, for strict validators of " +
		"RFC 9068. Keys with at+jwt always have an expiry; requires that policy.expiry is claim",
	"OfferedScope.description": "Permissions of the scope, for customers to read",
	"OAuthError.error":         "The error code of RFC 6749 section 5.2 or RFC 8693 section 2.2.2",
	"Policy.exchange":          "How keys can be exchanged for access tokens",
	"Exchange.enabled":         "Whether POST …/token exchanges keys; default false",
	"Exchange.max_expires_in":  "Longest lifetime of an access token in seconds, 60 to 3600; 0: 3600",
	"Exchange.max_cache_age": "Seconds for which clients of the workspace may cache its set, 5 to 3600; 0: 60. A new signing key is " +
		"published for longer than this before its first signature",
	"Exchange.per_minute": "Access tokens that one key gets from one server in a minute; 0: 600",
	"OIDC.owner_claim":    "Claim that names the owner; required except in the workspace burnkey, where only operators log in",
	"OIDC.operator_claim": "Claim that makes a person an operator",
	"OIDC.operator_value": "A value that this claim must be or contain",
	"NewPortalSession.role": "Default: owner. An operator, one of the producer's own staff, sees the keys of all owners. Only the scope " +
		"admin may make one; in the workspace burnkey, where operators manage all workspaces, only a key that is not tied to a workspace",
	"NewPortalSession.owner":          "The owner whose keys it shows; required for an owner, absent for an operator",
	"NewPortalSession.scopes_allowed": "Scopes that keys created in this session may have; default: those of the policy. Absent for operators",
	"NewPortalSession.subject":        "The person it is for, such as jane@acme.example: the actor's id in the audit. Default: the key's id",
	"Workspace.inherits": "Parts of an environment that are those of its first workspace: policy, with allow_never_expires, and portal. " +
		"Absent: none",
	"NewWorkspace.environment": "Name of the environment that it is, such as test; unique among the environments of one workspace, which is " +
		"live itself unless it has another name. Required with environment_of",
	"NewWorkspace.environment_of": "Makes it an environment of this workspace, which must not be one itself and can have 8. Never changed",
	"NewPortalSession.environments": "Ids of workspaces that the link opens, too: the first workspace and its environments. The management " +
		"key must be permitted to make a link in each. Default: none",
	"Rotation.grace": "Time for which the old key keeps working: 0 to 2160h, such as 90m, 720h, 30d or 3600; default 24h",
	"UsageReport.reporter": "Name of the reporter. Usage is known up to the time for which all reporters have reported, except those that " +
		"are silent for 24 hours. Default: the management key",
	"Actor.kind": "key: a management key; session, oidc: an owner in the portal, by a link or a login; operator: the producer's own staff " +
		"there; token: the holder of a token; system: the server itself; cli: the command line, on the database",

	"NewPlan.signed": "A limit of 1, 60, 3600 or 86400 seconds or a calendar day or month, which tokens issued from now on contain as the " +
		"claim rate_limit, for gateways that do not follow the feed",
	"TokenLimits.limits": "The limits of the key, its plan and its owner",
	"SharedLimits.on":    "Subject of the limits, whose requests are counted together",

	"Field.code": "Stable name of the broken rule; absent if the value does not match this document or the body cannot be " +
		"read",
	"Actor.id":                          "Id of the key, session or person; absent if none of them acted",
	"EndedSessions.ended":               "Number of sessions and links that were ended",
	"Entry.id":                          "The entry's id",
	"Entry.at":                          "Time of the change or refusal",
	"Entry.action":                      "Kind of change",
	"Entry.key":                         "Id of the key that it concerns",
	"Entry.owner":                       "Owner of that key",
	"Entry.result":                      "ok: the change was made; refused: it was not",
	"Entry.detail":                      "The changed members, or the reason of the refusal",
	"EntryList.entries":                 "The entries of this page",
	"JWK.kty":                           "Type of the key",
	"JWK.use":                           "Use of the key: signatures",
	"JWK.alg":                           "Algorithm of the signature",
	"JWK.e":                             "Public exponent 65537, base64url",
	"JWKSet.keys":                       "The published keys and the tombstone",
	"KeyList.keys":                      "The keys of this page",
	"NewWorkspace.id":                   "1 to 63 characters of a-z, 0-9 and -, not beginning with -; part of the issuer, and never changed",
	"Metadata.issuer":                   "iss of the tokens",
	"OIDC.client_id":                    "The client's id at the provider",
	"OIDC.issuer":                       "The provider's issuer URL",
	"OfferedScope.name":                 "The scope, as tokens contain it",
	"PortalSession.expires_at":          "When the link is void",
	"RecordedUsage.recorded":            "Number of keys whose use was recorded",
	"RevokedKey.status":                 "Always revoked",
	"RevokedMany.count":                 "Number of keys in this answer",
	"RevokedMany.dry_run":               "Whether the keys are only listed, and not revoked",
	"RevokedMany.keys":                  "The keys that were or would be revoked",
	"UpdatedMany.count":                 "Number of keys in this answer",
	"UpdatedMany.dry_run":               "Whether the keys are only listed, and not changed",
	"UpdatedMany.keys":                  "The changed keys or, in a dry run, those that would be changed, as they are now",
	"UpdateMany.change":                 "A JSON Merge Patch, like the body of update-key",
	"Status.status":                     "Always ok: a failure is a problem",
	"WorkspaceList.workspaces":          "The workspaces of this page",
	"Workspace.id":                      "The workspace's id",
	"Workspace.name":                    "Name for people",
	"WorkspaceState.id":                 "The workspace's id",
	"WorkspaceState.version":            "Of the published set",
	"Metadata.response_types_supported": "Empty: the issuer has no login",
	"Metadata.grant_types_supported":    "Empty: the issuer has no token endpoint",
	"Metadata.subject_types_supported":  "Always public",
	"Metadata.id_token_signing_alg_values_supported":         "Algorithm of the tokens' signatures",
	"Metadata.revocation_endpoint":                           "Address where holders revoke their tokens (RFC 7009)",
	"Metadata.revocation_endpoint_auth_methods_supported":    "none: revoking requires only the token",
	"Metadata.introspection_endpoint":                        "Introspection endpoint (RFC 7662), which requires a management key",
	"Metadata.introspection_endpoint_auth_methods_supported": "The management key as Bearer, or as the password of Basic",
}

// common has descriptions of members that several schemas have.
var common = map[string]string{
	"id": "The key's id", "kid": "RFC 7638 SHA-256 thumbprint of the key's JWK", "workspace": "The workspace's id",
	"owner": "Your own id of who holds the key; the sub of its token", "name": "Name for people",
	"scopes": "Scopes of the token", "audience": "Audiences of the token", "claims": "Further claims of the token",
	"metadata": "Stored, not signed", "status": "deprecated: rotated, and still in its grace",
	"created_at": "Time of creation", "updated_at": "Time of the last change", "revoked_at": "Time of the revocation",
	"rotated_from": "The key that it replaces", "rotated_to": "The key that replaces it",
	"grace_ends_at": "When it stops working because another key replaces it",
	"version":       "In the answer to a change: a version that has it. Otherwise: the version that published the key, or removed it for good",
	"unused_for":    "Keys created and, as far as gateways report, last used longer ago than this: 24h or more, such as 720h or 30d",
	"allowed_ips":   "Addresses and networks (CIDR), IPv4 and IPv6, from which the key can be used; IPv4-mapped ones become IPv4",
	"enabled":       "false: suspended; its JWK is not in the published set",
	"suspended_at":  "Time of the suspension", "suspended_reason": "Reason of the suspension",
	"issuer": "iss of its tokens", "jwks_uri": "Address of the published keys",
}

// schemaTexts has descriptions of schemas that others refer to.
var schemaTexts = map[string]string{
	"Actor": "The caller or person that did it", "Field": "An invalid field of the input", "OfferedScope": "A scope that keys may have",
	"Policy": "Limits of the workspace's keys", "Portal": "How the workspace's page looks, and how people log in to it",
	"Exchange": "The exchange of keys for access tokens",
	"OIDC":     "An OpenID provider for logins to the portal",
	"Acting":   "The party that acts for the owner (RFC 8693 section 4.1)",
	"Ceiling":  "Values set by the producer, which the key's owner cannot exceed in the portal",
	"JWK":      "A public key (RFC 7517)", "Key": "A key, without its token",
	"EnvironmentRef": "An environment of a workspace",
	"KeyState":       "The part of a key that is shown without the scope keys:read",
	"Workspace":      "A workspace", "WorkspaceState": "The part of a workspace that is shown without the scope workspaces:read",
	"Request": "An owner's request for a plan or scopes", "RequestState": "The part of a request that is shown without the scope keys:read",
	"IssuedKey": "A key with its token", "IssuedState": "A key's token and state", "Entry": "An entry of the audit",
	"Limit": "A rule that counts requests", "KeyUse": "The latest use of a key", "Problem": "An error (RFC 9457)",
}
