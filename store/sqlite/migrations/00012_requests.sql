-- +goose Up

-- Plans and scopes that owners requested for their keys, and the decisions.
CREATE TABLE requests (
    workspace       TEXT NOT NULL REFERENCES workspaces (id),
    id              BLOB NOT NULL CHECK (length(id) = 16),
    key             BLOB NOT NULL CHECK (length(key) = 16),
    owner           TEXT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('plan', 'scopes')),
    wanted          TEXT NOT NULL, -- JSON object
    reason          TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('open', 'approved', 'declined', 'withdrawn')),
    created_at      INTEGER NOT NULL,
    decided_at      INTEGER,
    decided_by_kind TEXT,
    decided_by      TEXT,
    answer          TEXT NOT NULL,
    event           TEXT CHECK (event IN ('created', 'decided')), -- not yet sent to the webhook; NULL: none
    PRIMARY KEY (workspace, id)
) STRICT;

CREATE UNIQUE INDEX requests_open ON requests (workspace, key, kind) WHERE status = 'open';
CREATE INDEX requests_by_status ON requests (workspace, status, id);
CREATE INDEX requests_by_owner ON requests (workspace, owner, id);
CREATE INDEX requests_by_key ON requests (workspace, key, id);
CREATE INDEX requests_unsent ON requests (workspace, id) WHERE event IS NOT NULL;
