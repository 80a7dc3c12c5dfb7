-- +goose Up

-- For finding a workspace's earliest reporter, and its silent ones.
CREATE INDEX usage_reporters_by_until ON usage_reporters (workspace, until);
CREATE INDEX usage_reporters_by_report ON usage_reporters (workspace, reported_at);

-- Entries may only be deleted by a cut, which has a row here while it runs.
CREATE TABLE audit_cuts (workspace TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
DROP TRIGGER audit_delete;
-- +goose StatementBegin
CREATE TRIGGER audit_delete BEFORE DELETE ON audit
WHEN NOT EXISTS (SELECT 1 FROM audit_cuts WHERE workspace = OLD.workspace) BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
-- +goose StatementEnd
