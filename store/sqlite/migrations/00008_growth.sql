-- +goose Up

-- For the earliest of a workspace's reporters, and for those that are silent.
CREATE INDEX usage_reporters_by_until ON usage_reporters (workspace, until);
CREATE INDEX usage_reporters_by_report ON usage_reporters (workspace, reported_at);

-- Entries are deleted within a cut alone, which has a row here while it lasts.
CREATE TABLE audit_cuts (workspace TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
DROP TRIGGER audit_delete;
-- +goose StatementBegin
CREATE TRIGGER audit_delete BEFORE DELETE ON audit
WHEN NOT EXISTS (SELECT 1 FROM audit_cuts WHERE workspace = OLD.workspace) BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
-- +goose StatementEnd
