-- +goose Up

-- Settings of a workspace that its gateways follow, such as the prefix of its tokens.
ALTER TABLE workspaces ADD COLUMN gateway_settings TEXT; -- JSON object; NULL: defaults
