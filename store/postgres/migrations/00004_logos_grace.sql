-- +goose Up

-- Apart from workspaces, which is read with each key that is issued: a logo is of
-- 64 KiB. The portal there keeps its hash.
CREATE TABLE logos (
    workspace text COLLATE "C" NOT NULL PRIMARY KEY,
    png       bytea NOT NULL
);

-- It is compressed already.
ALTER TABLE logos ALTER COLUMN png SET STORAGE EXTERNAL;

INSERT INTO logos (workspace, png)
SELECT id, decode(portal::json ->> 'logo', 'base64') FROM workspaces WHERE portal::json ->> 'logo' <> '';

UPDATE workspaces
SET portal = (portal::jsonb - 'logo' || jsonb_build_object('logo_hash', encode(sha256(png), 'hex')))::text
FROM logos WHERE logos.workspace = id;

-- For counting an owner's keys in their grace, however many are in none.
CREATE INDEX keys_in_grace ON keys (workspace, owner, id)
    WHERE revoked_at IS NULL AND expired_version IS NULL AND grace_ends_at IS NOT NULL;
