-- +goose Up

-- Attributes are a column of jwks, so that a key and its attributes are published and removed together, also by
-- servers of the version before.
ALTER TABLE jwks ADD COLUMN attributes TEXT; -- JSON object; NULL: none

ALTER TABLE changes ADD COLUMN unsigned TEXT; -- JSON object: what the change did to attributes and limits

ALTER TABLE keys ADD COLUMN suspended_at INTEGER;
ALTER TABLE keys ADD COLUMN suspended_reason TEXT;
ALTER TABLE keys ADD COLUMN suspended_by TEXT; -- owner; NULL: the producer
ALTER TABLE keys ADD COLUMN allowed_ips TEXT; -- JSON array of networks
ALTER TABLE keys ADD COLUMN plan TEXT;
ALTER TABLE keys ADD COLUMN limits TEXT; -- JSON array of rules
-- The scopes and exp of the token, if the record differs: a JSON object.
ALTER TABLE keys ADD COLUMN signed TEXT;

-- For looking whether a plan is in use.
CREATE INDEX keys_by_plan ON keys (workspace, plan)
    WHERE plan IS NOT NULL AND revoked_at IS NULL AND expired_version IS NULL;

-- The JWKs of suspended keys.
CREATE TABLE suspended_jwks (
    workspace TEXT NOT NULL REFERENCES workspaces (id),
    kid       BLOB NOT NULL CHECK (length(kid) = 32),
    n         BLOB NOT NULL CHECK (length(n) = 256),
    PRIMARY KEY (workspace, kid)
) STRICT, WITHOUT ROWID;

-- Rules that keys share.
CREATE TABLE limit_sets (
    workspace   TEXT NOT NULL REFERENCES workspaces (id),
    subject     TEXT NOT NULL CHECK (subject IN ('plan', 'owner', 'route', 'address', 'total')),
    name        TEXT NOT NULL,
    limits      TEXT NOT NULL, -- JSON array of rules
    description TEXT NOT NULL,
    signed      TEXT NOT NULL, -- the name of the rule that tokens contain
    created_at  INTEGER,
    updated_at  INTEGER,
    PRIMARY KEY (workspace, subject, name)
) STRICT, WITHOUT ROWID;
