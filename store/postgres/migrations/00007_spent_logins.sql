-- +goose Up

-- Logins by OpenID that are used up, until they would be too old anyway, by a hash of their state.
CREATE TABLE spent_logins (
    hash       bytea  PRIMARY KEY,
    expires_at bigint NOT NULL 
);
CREATE INDEX spent_logins_by_expiry ON spent_logins (expires_at);
