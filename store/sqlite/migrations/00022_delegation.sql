-- +goose Up

-- The key under which a key was issued, and whether keys were issued under a key (NULL: no).
ALTER TABLE keys ADD COLUMN parent BLOB;
ALTER TABLE keys ADD COLUMN delegates INTEGER;

CREATE INDEX keys_by_parent ON keys (workspace, parent, id) WHERE parent IS NOT NULL;
