-- +goose Up

-- Attributes are a column of jwks, so that a key and its attributes are published and removed together, also by
-- servers of the version before.
ALTER TABLE jwks ADD COLUMN attributes text COLLATE "C"; -- JSON object; NULL: none

ALTER TABLE changes ADD COLUMN unsigned text COLLATE "C"; -- JSON object: what the change did to attributes and limits

ALTER TABLE keys
    ADD COLUMN suspended_at bigint,
    ADD COLUMN suspended_reason text COLLATE "C",
    ADD COLUMN suspended_by text COLLATE "C", -- owner; NULL: the producer
    ADD COLUMN allowed_ips text COLLATE "C", -- JSON array of networks
    ADD COLUMN plan text COLLATE "C",
    ADD COLUMN limits text COLLATE "C", -- JSON array of rules
    -- The scopes and exp of the token, if the record differs: a JSON object.
    ADD COLUMN signed text COLLATE "C";

-- For looking whether a plan is in use.
CREATE INDEX keys_by_plan ON keys (workspace, plan)
    WHERE plan IS NOT NULL AND revoked_at IS NULL AND expired_version IS NULL;

-- The JWKs of suspended keys.
CREATE TABLE suspended_jwks (
    workspace text COLLATE "C" NOT NULL,
    kid       bytea NOT NULL CHECK (length(kid) = 32),
    n         bytea NOT NULL CHECK (length(n) = 256),
    PRIMARY KEY (workspace, kid)
);

-- Rules that keys share.
CREATE TABLE limit_sets (
    workspace   text COLLATE "C" NOT NULL,
    subject     text COLLATE "C" NOT NULL CHECK (subject IN ('plan', 'owner', 'route', 'address', 'total')),
    name        text COLLATE "C" NOT NULL,
    limits      text COLLATE "C" NOT NULL, -- JSON array of rules
    description text COLLATE "C" NOT NULL,
    signed      text COLLATE "C" NOT NULL, -- the name of the rule that tokens contain
    created_at  bigint,
    updated_at  bigint,
    PRIMARY KEY (workspace, subject, name)
);
