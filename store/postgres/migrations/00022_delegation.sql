-- +goose Up

LOCK TABLE workspaces IN SHARE ROW EXCLUSIVE MODE;

-- The key under which a key was issued, and whether keys were issued under a key (NULL: no).
ALTER TABLE keys ADD COLUMN parent uuid, ADD COLUMN delegates boolean;

CREATE INDEX keys_by_parent ON keys (workspace, parent, id) WHERE parent IS NOT NULL;
