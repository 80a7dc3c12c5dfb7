-- +goose Up

-- Apart from workspaces, whose row is written by every change: a logo has up to 64 KiB.
CREATE TABLE settings (
    workspace TEXT NOT NULL PRIMARY KEY REFERENCES workspaces (id),
    policy    TEXT NOT NULL, -- JSON objects
    portal    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- keys again, since a CHECK can't be altered: a key that was removed for its age
-- may be revoked later, which no version is raised for.
CREATE TABLE keys_2 (
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
    rotated_from    BLOB CHECK (length(rotated_from) = 16),
    rotated_to      BLOB CHECK (length(rotated_to) = 16),
    grace_ends_at   INTEGER,
    expired_version INTEGER,
    -- When the key is to be removed from the set; NULL once it was.
    due_at          INTEGER GENERATED ALWAYS AS (CASE WHEN revoked_at IS NULL AND expired_version IS NULL
        THEN min(coalesce(grace_ends_at, expires_at), coalesce(expires_at, grace_ends_at)) END) VIRTUAL,
    PRIMARY KEY (workspace, id),
    UNIQUE (workspace, kid),
    -- Published means that neither is there.
    CHECK ((revoked_at IS NULL AND revoked_version IS NULL)
        OR (revoked_at IS NOT NULL AND (revoked_version IS NULL) = (expired_version IS NOT NULL))),
    CHECK ((rotated_to IS NULL) = (grace_ends_at IS NULL))
) STRICT;

INSERT INTO keys_2 (workspace, id, kid, owner, name, scopes, audience, claims, metadata, idempotency_key,
    created_at, updated_at, expires_at, revoked_at, version, revoked_version)
SELECT workspace, id, kid, owner, name, scopes, audience, claims, metadata, idempotency_key,
    created_at, updated_at, expires_at, revoked_at, version, revoked_version FROM keys;

DROP TABLE keys;

ALTER TABLE keys_2 RENAME TO keys;

CREATE INDEX keys_by_owner ON keys (workspace, owner, id);

CREATE UNIQUE INDEX keys_by_idempotency_key ON keys (workspace, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- For counting an owner's keys, however many have been revoked.
CREATE INDEX keys_by_owner_published ON keys (workspace, owner, id)
    WHERE revoked_at IS NULL AND expired_version IS NULL;

CREATE INDEX keys_by_due ON keys (due_at, workspace, id) WHERE due_at IS NOT NULL;

CREATE TABLE sessions (
    hash           BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    kind           TEXT    NOT NULL CHECK (kind IN ('link', 'session')),
    workspace      TEXT    NOT NULL REFERENCES workspaces (id),
    owner          TEXT    NOT NULL,
    role           TEXT    NOT NULL CHECK (role IN ('owner', 'operator')),
    subject        TEXT    NOT NULL,
    scopes_allowed TEXT, -- JSON array of strings; NULL: any
    return_url     TEXT    NOT NULL,
    embedded       INTEGER NOT NULL,
    created_at     INTEGER,
    expires_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Appended to and never changed. Ids are UUIDv7: the table is in order of time.
CREATE TABLE audit (
    workspace  TEXT    NOT NULL, -- also one that there is not, as a refusal may name
    id         BLOB    NOT NULL CHECK (length(id) = 16),
    at         INTEGER NOT NULL,
    actor_kind TEXT    NOT NULL,
    actor_id   TEXT    NOT NULL,
    actor_from TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    key        BLOB CHECK (length(key) = 16),
    owner      TEXT,
    result     TEXT    NOT NULL,
    detail     TEXT    NOT NULL, -- a JSON object
    PRIMARY KEY (workspace, id)
) STRICT;

CREATE INDEX audit_by_owner ON audit (workspace, owner, id) WHERE owner IS NOT NULL;

CREATE INDEX audit_by_key ON audit (workspace, key, id) WHERE key IS NOT NULL;

-- Against accidents: anyone who may drop a table may drop this.
-- +goose StatementBegin
CREATE TRIGGER audit_update BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_delete BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
-- +goose StatementEnd
