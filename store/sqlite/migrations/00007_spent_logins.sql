-- +goose Up

-- Logins by OpenID that are used up, until they would be too old anyway, by a hash of their state.
CREATE TABLE spent_logins (
    hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_logins_by_expiry ON spent_logins (expires_at);
