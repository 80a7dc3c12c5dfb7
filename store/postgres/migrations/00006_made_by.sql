-- +goose Up

-- The management key that a link was made with; NULL: it was made before this column was
-- there, or by no key.
ALTER TABLE sessions ADD COLUMN made_by uuid;

-- For ending them.
CREATE INDEX sessions_by_owner ON sessions (workspace, owner);
