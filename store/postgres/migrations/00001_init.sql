-- +goose Up

-- Text is compared by its bytes (COLLATE "C"): an index over it then does not
-- depend on the system's locales, which an upgrade may change under it.

-- A row is updated at each change, so half of each page is left for its next
-- versions: no index has to follow.
CREATE TABLE workspaces (
    id                  text COLLATE "C" NOT NULL PRIMARY KEY,
    name                text COLLATE "C" NOT NULL,
    audiences           text[] COLLATE "C" NOT NULL,
    allow_never_expires boolean NOT NULL,
    version             bigint NOT NULL CHECK (version > 0),
    created_at          bigint, -- times are microseconds since 1970, UTC
    updated_at          bigint
) WITH (fillfactor = 50);

-- No table refers to workspaces by a foreign key: whatever inserts a row has
-- changed its workspace's in the same statement, and no workspace is deleted.
CREATE TABLE keys (
    workspace       text COLLATE "C" NOT NULL,
    id              uuid NOT NULL,
    kid             bytea NOT NULL CHECK (length(kid) = 32),
    owner           text COLLATE "C" NOT NULL,
    name            text COLLATE "C" NOT NULL,
    scopes          text[] COLLATE "C" NOT NULL,
    audience        text[] COLLATE "C" NOT NULL,
    claims          text COLLATE "C" NOT NULL, -- not json: comes back as it was given
    metadata        text COLLATE "C" NOT NULL,
    idempotency_key text COLLATE "C",
    created_at      bigint,
    updated_at      bigint,
    expires_at      bigint,
    revoked_at      bigint,
    version         bigint NOT NULL,
    revoked_version bigint,
    PRIMARY KEY (workspace, id),
    UNIQUE (workspace, kid),
    CHECK ((revoked_at IS NULL) = (revoked_version IS NULL))
) WITH (fillfactor = 90);

CREATE INDEX keys_by_owner ON keys (workspace, owner, id);

CREATE UNIQUE INDEX keys_by_idempotency_key ON keys (workspace, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- The published set, and nothing else: revoking a key deletes its row.
CREATE TABLE jwks (
    workspace text COLLATE "C" NOT NULL,
    kid       bytea NOT NULL CHECK (length(kid) = 32),
    n         bytea NOT NULL CHECK (length(n) = 256),
    PRIMARY KEY (workspace, kid)
);

-- The changes of each version: the moduli it added, of 256 bytes each, and the kids it removed, of 32
-- bytes each, concatenated.
CREATE TABLE changes (
    workspace text COLLATE "C" NOT NULL,
    version   bigint NOT NULL,
    added     bytea NOT NULL CHECK (length(added) % 256 = 0),
    removed   bytea NOT NULL CHECK (length(removed) % 32 = 0),
    PRIMARY KEY (workspace, version)
);
