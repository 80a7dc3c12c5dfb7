-- +goose Up

-- Plans and scopes that owners requested for their keys, and the decisions.
CREATE TABLE requests (
    workspace       text COLLATE "C" NOT NULL,
    id              uuid NOT NULL,
    key             uuid NOT NULL,
    owner           text COLLATE "C" NOT NULL,
    kind            text COLLATE "C" NOT NULL CHECK (kind IN ('plan', 'scopes')),
    wanted          text COLLATE "C" NOT NULL, -- JSON object
    reason          text COLLATE "C" NOT NULL,
    status          text COLLATE "C" NOT NULL CHECK (status IN ('open', 'approved', 'declined', 'withdrawn')),
    created_at      bigint NOT NULL,
    decided_at      bigint,
    decided_by_kind text COLLATE "C",
    decided_by      text COLLATE "C",
    answer          text COLLATE "C" NOT NULL,
    event           text COLLATE "C" CHECK (event IN ('created', 'decided')), -- not yet sent to the webhook; NULL: none
    PRIMARY KEY (workspace, id)
);

CREATE UNIQUE INDEX requests_open ON requests (workspace, key, kind) WHERE status = 'open';
CREATE INDEX requests_by_status ON requests (workspace, status, id);
CREATE INDEX requests_by_owner ON requests (workspace, owner, id);
CREATE INDEX requests_by_key ON requests (workspace, key, id);
CREATE INDEX requests_unsent ON requests (workspace, id) WHERE event IS NOT NULL;
