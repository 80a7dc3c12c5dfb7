-- +goose Up

-- For the earliest of a workspace's reporters, and for those that are silent.
CREATE INDEX usage_reporters_by_until ON usage_reporters (workspace, until);
CREATE INDEX usage_reporters_by_report ON usage_reporters (workspace, reported_at);

-- Entries are deleted within a cut alone, whose transaction has this setting.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('burnkey.audit_cut', true) = 'on' THEN
        RETURN NULL; -- of a statement's trigger, whatever it returns
    END IF;
    RAISE EXCEPTION 'the audit is append-only';
END $$;
-- +goose StatementEnd
