package doctor

// list has the codes in order of importance.
var list = []kind{
	{
		code: "jwt_cache", severity: Error,
		why: "Envoy accepts a token from the cache until it expires, also after its key was revoked.",
		do:  "Remove jwt_cache_config from the provider; for ESPv2 set --jwt_cache_size=0.",
	},
	{
		code: "failure_mode_allow", severity: Error,
		why: "If the gateway service does not answer, Envoy passes every request without a check.",
		do:  "Remove failure_mode_allow from the ext_authz filter, and run two gateways.",
	},
	{
		code: "unprotected", severity: Error,
		why: "Requests reach the API without a check by Burnkey's keys, or only the last filter refuses them.",
		do:  "Add the filters that burnkey envoy config --format filter prints.",
	},
	{
		code: "jwt_issuer", severity: Error,
		why: "Without it, Envoy accepts any issuer whose token the keys verify. With a wrong one, it refuses every token.",
		do:  "Set issuer to the issuer of the workspace.",
	},
	{
		code: "public_url", severity: Error,
		why: "The issuer is in every token. Gateways refuse tokens whose issuer is not the expected one.",
		do:  "Start burnkey serve with the URL that clients use in --public-url. If the address is internal, give doctor the public one.",
	},
	{
		code: "gateway_issuer", severity: Error,
		why: "The gateway refuses every token, since its issuer is not the expected one.",
		do:  "Give burnkey gateway the server's --public-url.",
	},
	{
		code: "unreachable", severity: Error,
		why: "It is down, the address is wrong, or a firewall is in between. Nothing else about it could be examined.",
		do:  "Check that it runs and that this machine may connect to it.",
	},
	{
		code: "not_ready", severity: Error,
		why: "A balancer sends it no requests, and it can't do all of its work.",
		do:  "Mend the named cause; the program's log has details.",
	},
	{
		code: "pooler_mode", severity: Error,
		why: "Settings, locks and notifications belong to a session. A pooler that mixes sessions gives them to other clients.",
		do:  "Set pool_mode = session in PgBouncer, or connect to PostgreSQL directly.",
	},
	{
		code: "database_copied", severity: Error,
		why: "Servers refuse it: it may be a restored backup, in which keys that were revoked later are valid.",
		do:  "Run burnkey restore on it.",
	},
	{
		code: "schema_newer", severity: Error,
		why: "A newer Burnkey has migrated the database so that this program can't use it.",
		do:  "Install the newer version, or restore a backup from before the upgrade.",
	},
	{
		code: "standby", severity: Error,
		why: "A standby accepts no writes, and shows revoked keys as published while it lags.",
		do:  "Name the primary, or all hosts, in the URL.",
	},
	{
		code: "unsafe_database", severity: Error,
		why: "A power failure can lose a revocation that was acknowledged, or damage the database.",
		do:  "Turn the setting on in postgresql.conf.",
	},
	{
		code: "workspace_damaged", severity: Error,
		why: "The set in the database is corrupt. The last good one is served, or 503, and changes don't reach gateways.",
		do:  "Look for the workspace in the server's log, and restore it from a backup.",
	},
	{
		code: "file_mode", severity: Error,
		why: "Other users of the machine can change or read it. A database or a state folder decides which tokens are accepted.",
		do:  "Make the file 0600 and the folder 0700 (chmod). If others could read a key, revoke it.",
	},
	{
		code: "envoy_buffer", severity: Error,
		why: "Envoy refuses a larger set and keeps the old one: revocations stop.",
		do:  "Raise the runtime value http.async_response_buffer_limit, as burnkey envoy config does, or use the gateway service.",
	},
	{
		code: "jwks_fetch", severity: Error,
		why: "Envoy works with old keys, or with none. New keys are refused and revoked ones accepted.",
		do:  "Check the address, the cluster and TLS of remote_jwks in Envoy's configuration, and the server.",
	},
	{
		code: "set_stale", severity: Error,
		why: "Revocations and new keys since then have no effect here.",
		do:  "Restore the connection: from the server to its database, or from the gateway to the server.",
	},
	{
		code: "dumpable", severity: Error,
		why: "Another process of its user can read tokens in its memory, and a crash writes them to disk.",
		do:  "Run the unmodified burnkey binary, and find out who made the process dumpable.",
	},
	{
		code: "management_key", severity: Error,
		why: "The findings about workspaces and keys need a management key that the server accepts.",
		do:  "Give --key-file a key with the scopes workspaces:read and keys:read, or leave it out.",
	},
	{
		code: "plain_http", severity: Warning,
		why: "Anyone in between can read keys and change answers, such as the published set.",
		do:  "Use https, with TLS in front of the server.",
	},
	{
		code: "plain_database", severity: Warning,
		why: "Anyone in between can read the password and insert keys.",
		do:  "Set sslmode=verify-full in the URL.",
	},
	{
		code: "clock", severity: Warning,
		why: "Verifiers refuse new tokens or accept expired ones if clocks differ.",
		do:  "Synchronize both machines, for example by chrony.",
	},
	{
		code: "jwt_audience", severity: Warning,
		why: "Envoy accepts tokens that were issued for the workspace's other APIs.",
		do:  "Name this API's audience in audiences (burnkey envoy config --audience), unless it should accept all of them.",
	},
	{
		code: "jwt_from_headers", severity: Warning,
		why: "Envoy then also reads the query parameter access_token, and queries end up in logs.",
		do:  "Set from_headers to Authorization with the prefix Bearer.",
	},
	{
		code: "jwks_interval", severity: Warning,
		why: "It is the time that a revocation and a new key take. Envoy fetches again after the duration if it is at most 5 s, else after " +
			"5 s less.",
		do: "Set cache_duration to 5s.",
	},
	{
		code: "async_fetch", severity: Warning,
		why: "Envoy then fetches while a request waits, and refuses every token once the server has been unreachable for the cache duration.",
		do:  "Set async_fetch in remote_jwks.",
	},
	{
		code: "shape_filter", severity: Warning,
		why: "A forged token without a kid makes Envoy try every key of the set.",
		do:  "Put the RBAC filter of burnkey envoy config before jwt_authn.",
	},
	{
		code: "envoy_admin", severity: Warning,
		why: "Anyone who reaches the admin interface can read the configuration and stop Envoy.",
		do:  "Bind it to a loopback address.",
	},
	{
		code: "missing_index", severity: Warning,
		why: "Calls that took milliseconds read whole tables, more slowly the more keys there are.",
		do:  "Create the index as in the migrations of this version.",
	},
	{
		code: "schema_older", severity: Warning,
		why: "The next start of this version migrates the database, after which older versions no longer open it.",
		do:  "Make a backup, then start the server of this version.",
	},
	{
		code: "diverged", severity: Warning,
		why: "Somebody changed rows directly in the database. The server has since read the set again.",
		do:  "Find out who writes to the database.",
	},
	{
		code: "polling", severity: Warning,
		why: "Changes then take up to 6 s instead of milliseconds.",
		do:  "Let proxies pass the change stream without buffering, and give the gateway a key for a reserved place.",
	},
	{
		code: "state_failures", severity: Warning,
		why: "The next start without a server would use older keys, or none.",
		do:  "Check the space and the owner of the --state-dir.",
	},
	{
		code: "redis_away", severity: Warning,
		why: "Each gateway counts limits by itself, or refuses requests that have limits, as --redis-down says.",
		do:  "Check the URL of --redis, and that Redis can be reached and written to; the gateway's log has the error.",
	},
	{
		code: "usage_refused", severity: Warning,
		why: "The last use of keys is not known, so unused keys can't be found.",
		do:  "Give the gateway a key with the scope gateway in --usage-key-file.",
	},
	{
		code: "usage_old", severity: Warning,
		why: "Keys that were used since then look unused.",
		do:  "Check that every gateway runs and reports (--usage-every).",
	},
	{
		code: "version_differs", severity: Warning,
		why: "Versions are tested together only if they are equal.",
		do:  "Finish the upgrade.",
	},
	{
		code: "swap", severity: Warning,
		why: "Memory with tokens, and with a private key that is being burned, can be written to disk in the clear.",
		do:  "Turn swap off, encrypt it, or start burnkey serve with unlimited locked memory (systemd: LimitMEMLOCK=infinity).",
	},
	{
		code: "variable", severity: Warning,
		why: "A misspelt variable leaves its setting at the default.",
		do:  "Correct or remove it.",
	},
	{
		code: "local_reply", severity: Note,
		why: "Envoy's own answers to refused requests are not in the form of RFC 6750 and RFC 9457, and some have status 403.",
		do:  "Add the local_reply_config of burnkey envoy config.",
	},
	{
		code: "set_size", severity: Note,
		why: "Some verifiers refuse a set of this size. They then accept no token at all.",
		do:  "Point them at jwks.json?kid=KID, which has one key, or use the gateway service.",
	},
	{
		code: "usage_unknown", severity: Note,
		why: "No gateway reports, so keys without use can't be found or revoked as unused.",
		do:  "Run burnkey gateway with a key of the scope gateway.",
	},
	{
		code: "keys_without_end", severity: Note,
		why: "They are valid until somebody revokes them.",
		do:  "Rotate them to keys that expire, and forbid new ones with allow_never_expires=false.",
	},
	{
		code: "lax_commits", severity: Note,
		why: "Burnkey turns synchronous_commit on for its own sessions; changes by other tools can be lost in a power failure.",
		do:  "Turn synchronous_commit on for the database or the role.",
	},
}
