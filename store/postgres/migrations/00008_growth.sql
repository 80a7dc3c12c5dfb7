-- +goose Up

-- For finding a workspace's earliest reporter, and its silent ones.
CREATE INDEX usage_reporters_by_until ON usage_reporters (workspace, until);
CREATE INDEX usage_reporters_by_report ON usage_reporters (workspace, reported_at);

-- Entries may only be deleted by a cut, whose transaction has this setting.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('burnkey.audit_cut', true) = 'on' THEN
        RETURN NULL; -- ignored for a statement's trigger
    END IF;
    RAISE EXCEPTION 'the audit is append-only';
END $$;
-- +goose StatementEnd
