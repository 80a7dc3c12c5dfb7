-- +goose Up

-- Key pairs that sign access tokens. Their JWKs are in the table jwks.
CREATE TABLE signers (
    workspace TEXT    NOT NULL REFERENCES workspaces (id),
    kid       BLOB    NOT NULL CHECK (length(kid) = 32),
    usable_at INTEGER NOT NULL,
    ends_at   INTEGER NOT NULL,
    remove_at INTEGER NOT NULL,
    PRIMARY KEY (workspace, kid)
) STRICT, WITHOUT ROWID;

CREATE INDEX signers_due ON signers (remove_at, workspace);

-- Workspaces in which keys can be exchanged.
CREATE INDEX settings_exchanging ON settings (workspace) WHERE policy ->> '$.exchange.enabled';
