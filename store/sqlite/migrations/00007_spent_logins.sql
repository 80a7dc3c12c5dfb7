-- +goose Up

-- OpenID logins that are used up, by a hash of their state, until they would be refused as too old anyway.
CREATE TABLE spent_logins (
    hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_logins_by_expiry ON spent_logins (expires_at);
