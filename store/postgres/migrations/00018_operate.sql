-- +goose Up

-- For finding a key without its workspace.
CREATE INDEX keys_by_id ON keys (id);
CREATE INDEX keys_by_kid ON keys (kid);

-- For lists in another order than by time.
CREATE INDEX keys_by_name ON keys (workspace, lower(name), id);
CREATE INDEX keys_by_expiry ON keys (workspace, coalesce(expires_at, 9223372036854775807), id);
CREATE INDEX usage_by_time ON usage (workspace, last_used_at, id);

-- For lists and counts of the few that are suspended, or were refused.
CREATE INDEX keys_suspended ON keys (workspace, id)
    WHERE suspended_at IS NOT NULL AND revoked_at IS NULL AND expired_version IS NULL;
CREATE INDEX audit_refused ON audit (workspace, id) WHERE result = 'refused';

-- For counting keys by state, with all columns that the count needs. revoked_version, which these keys do not have, comes
-- first: by a column that is in conditions, SQLite would read lists, too, and then sort them.
CREATE INDEX keys_live ON keys (workspace, revoked_version, grace_ends_at, expires_at, suspended_at, rotated_to)
    WHERE revoked_at IS NULL AND expired_version IS NULL;
