-- +goose Up

-- OpenID logins that are used up, by a hash of their state, until they would be refused as too old anyway.
CREATE TABLE spent_logins (
    hash       bytea  PRIMARY KEY,
    expires_at bigint NOT NULL
);
CREATE INDEX spent_logins_by_expiry ON spent_logins (expires_at);
