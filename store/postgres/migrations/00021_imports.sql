-- +goose Up

LOCK TABLE workspaces IN SHARE ROW EXCLUSIVE MODE;

-- The digest of an imported key, such as sha256:BASE64URL; NULL: the key has a JWK.
ALTER TABLE keys ADD COLUMN digest text COLLATE "C";

-- Expands: servers of the version before leave the column NULL.
CREATE UNIQUE INDEX keys_by_digest ON keys (digest) WHERE digest IS NOT NULL;

-- For the imported keys that gateways accept.
CREATE INDEX keys_imported ON keys (workspace, id)
    WHERE digest IS NOT NULL AND revoked_at IS NULL AND expired_version IS NULL;
