-- +goose Up

ALTER TABLE workspaces
    ADD COLUMN environment text COLLATE "C",    -- NULL: live
    ADD COLUMN environment_of text COLLATE "C", -- the first workspace; NULL: none
    ADD COLUMN inherits text COLLATE "C";       -- policy, portal or both, separated by a space

CREATE INDEX workspaces_by_first ON workspaces (environment_of, id) WHERE environment_of IS NOT NULL;

ALTER TABLE limit_sets ADD COLUMN inherited boolean; -- true: a copy of the first workspace's plan
