-- +goose Up

-- What gateways must know of a workspace, such as the prefix of its tokens.
ALTER TABLE workspaces ADD COLUMN gateway_settings TEXT; -- JSON object; NULL: defaults
