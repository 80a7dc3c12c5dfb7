-- +goose Up

ALTER TABLE workspaces ADD COLUMN environment TEXT;    -- NULL: live
ALTER TABLE workspaces ADD COLUMN environment_of TEXT; -- the first workspace; NULL: none
ALTER TABLE workspaces ADD COLUMN inherits TEXT;       -- policy, portal or both, separated by a space

CREATE INDEX workspaces_by_first ON workspaces (environment_of, id) WHERE environment_of IS NOT NULL;

ALTER TABLE limit_sets ADD COLUMN inherited INTEGER; -- 1: a copy of the first workspace's plan
