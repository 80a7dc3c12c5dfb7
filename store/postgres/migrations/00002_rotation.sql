-- +goose Up

ALTER TABLE workspaces
    ADD COLUMN policy text COLLATE "C" NOT NULL DEFAULT '{}', -- JSON objects
    ADD COLUMN portal text COLLATE "C" NOT NULL DEFAULT '{}';

-- A key that was removed for its age may be revoked later, which no version is
-- raised for.
ALTER TABLE keys
    DROP CONSTRAINT keys_check,
    ADD COLUMN rotated_from uuid,
    ADD COLUMN rotated_to uuid,
    ADD COLUMN grace_ends_at bigint,
    ADD COLUMN expired_version bigint;

-- due_at is when the key is to be removed from the set; NULL once it was.
ALTER TABLE keys
    ADD COLUMN due_at bigint GENERATED ALWAYS AS (CASE WHEN revoked_at IS NULL AND expired_version IS NULL
        THEN least(grace_ends_at, expires_at) END) STORED,
    -- Published means that neither is there.
    ADD CONSTRAINT keys_removed CHECK ((revoked_at IS NULL AND revoked_version IS NULL)
        OR (revoked_at IS NOT NULL AND (revoked_version IS NULL) = (expired_version IS NOT NULL))),
    ADD CONSTRAINT keys_rotated CHECK ((rotated_to IS NULL) = (grace_ends_at IS NULL));

-- For counting an owner's keys, however many have been revoked.
CREATE INDEX keys_by_owner_published ON keys (workspace, owner, id)
    WHERE revoked_at IS NULL AND expired_version IS NULL;

CREATE INDEX keys_by_due ON keys (due_at, workspace, id) WHERE due_at IS NOT NULL;

CREATE TABLE sessions (
    hash           bytea NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    kind           text COLLATE "C" NOT NULL CHECK (kind IN ('link', 'session')),
    workspace      text COLLATE "C" NOT NULL,
    owner          text COLLATE "C" NOT NULL,
    role           text COLLATE "C" NOT NULL CHECK (role IN ('owner', 'operator')),
    subject        text COLLATE "C" NOT NULL,
    scopes_allowed text[] COLLATE "C", -- NULL: any
    return_url     text COLLATE "C" NOT NULL,
    embedded       boolean NOT NULL,
    created_at     bigint,
    expires_at     bigint NOT NULL
);

CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Appended to and never changed. Ids are UUIDv7: they are in order of time.
CREATE TABLE audit (
    workspace  text COLLATE "C" NOT NULL, -- also one that there is not, as a refusal may name
    id         uuid NOT NULL,
    at         bigint NOT NULL,
    actor_kind text COLLATE "C" NOT NULL,
    actor_id   text COLLATE "C" NOT NULL,
    actor_from text COLLATE "C" NOT NULL,
    action     text COLLATE "C" NOT NULL,
    key        uuid,
    owner      text COLLATE "C",
    result     text COLLATE "C" NOT NULL,
    detail     text COLLATE "C" NOT NULL, -- a JSON object
    PRIMARY KEY (workspace, id)
);

CREATE INDEX audit_by_owner ON audit (workspace, owner, id) WHERE owner IS NOT NULL;

CREATE INDEX audit_by_key ON audit (workspace, key, id) WHERE key IS NOT NULL;

-- Against accidents: anyone who may drop a table may drop this.
-- +goose StatementBegin
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is append-only';
END $$;
-- +goose StatementEnd

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    EXECUTE FUNCTION audit_is_append_only();
