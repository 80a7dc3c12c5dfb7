-- +goose Up

CREATE TABLE workspaces (
    id                  TEXT    NOT NULL PRIMARY KEY,
    name                TEXT    NOT NULL,
    audiences           TEXT    NOT NULL, -- JSON array of strings
    allow_never_expires INTEGER NOT NULL,
    version             INTEGER NOT NULL CHECK (version > 0),
    created_at          INTEGER,          -- times are microseconds since 1970, UTC
    updated_at          INTEGER
) STRICT, WITHOUT ROWID;

-- The records. A table with rowids, because rows are wide: metadata alone may
-- have 16 KiB, which would thin out the tree that finds them.
CREATE TABLE keys (
    workspace       TEXT    NOT NULL REFERENCES workspaces (id),
    id              BLOB    NOT NULL CHECK (length(id) = 16),
    kid             BLOB    NOT NULL CHECK (length(kid) = 32),
    owner           TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    scopes          TEXT    NOT NULL, -- JSON array of strings
    audience        TEXT    NOT NULL, -- JSON array of strings
    claims          TEXT    NOT NULL,
    metadata        TEXT    NOT NULL,
    idempotency_key TEXT,
    created_at      INTEGER,
    updated_at      INTEGER,
    expires_at      INTEGER,
    revoked_at      INTEGER,
    version         INTEGER NOT NULL,
    revoked_version INTEGER,
    PRIMARY KEY (workspace, id),
    UNIQUE (workspace, kid),
    CHECK ((revoked_at IS NULL) = (revoked_version IS NULL))
) STRICT;

CREATE INDEX keys_by_owner ON keys (workspace, owner, id);

CREATE UNIQUE INDEX keys_by_idempotency_key ON keys (workspace, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- The published set, and nothing else: revoking a key deletes its row.
CREATE TABLE jwks (
    workspace TEXT NOT NULL REFERENCES workspaces (id),
    kid       BLOB NOT NULL CHECK (length(kid) = 32),
    n         BLOB NOT NULL CHECK (length(n) = 256),
    PRIMARY KEY (workspace, kid)
) STRICT, WITHOUT ROWID;

-- The changes of each version: the moduli it added, of 256 bytes each, and the kids it removed, of 32
-- bytes each, concatenated.
CREATE TABLE changes (
    workspace TEXT    NOT NULL REFERENCES workspaces (id),
    version   INTEGER NOT NULL,
    added     BLOB    NOT NULL CHECK (length(added) % 256 = 0),
    removed   BLOB    NOT NULL CHECK (length(removed) % 32 = 0),
    PRIMARY KEY (workspace, version)
) STRICT, WITHOUT ROWID;
