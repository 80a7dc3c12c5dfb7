-- +goose Up

-- A key that is revoked or has expired ends its open requests, whichever statement removes it. The id of the audit's
-- entry is that of store.EntryID with the highest count, so it comes after the key's entry of the same time.
-- +goose StatementBegin
CREATE TRIGGER keys_end_requests AFTER UPDATE OF revoked_at, expired_version ON keys
WHEN OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL OR OLD.expired_version IS NULL AND NEW.expired_version IS NOT NULL BEGIN
    INSERT INTO audit (workspace, id, at, actor_kind, actor_id, actor_from, action, key, owner, result, detail)
    SELECT workspace, unhex(printf('%016x', (at / 1000 << 16) | (7 << 12) | (at % 1000 << 2)) || 'bfffffff' || hex(randomblob(4))), at,
        'system', '', '', 'request.decline', key, owner, 'ok', '{"answer":"' || answer || '",' || substr(wanted, 2, length(wanted) - 2) ||
        ',"request":"' || substr(id, 1, 8) || '-' || substr(id, 9, 4) || '-' || substr(id, 13, 4) || '-' || substr(id, 17, 4) || '-' ||
        substr(id, 21) || '"}'
    FROM (
        SELECT workspace, lower(hex(id)) AS id, key, owner, wanted,
            iif(NEW.revoked_at IS NULL, 'The key has expired.', 'The key was revoked.') AS answer,
            coalesce(NEW.revoked_at, max(NEW.expires_at, CAST(unixepoch('subsec') * 1000000 AS INTEGER))) AS at
        FROM requests WHERE workspace = NEW.workspace AND key = NEW.id AND status = 'open'
    );
    UPDATE requests SET status = 'declined', decided_by_kind = 'system', decided_by = '', event = coalesce(event, 'decided'),
        answer = iif(NEW.revoked_at IS NULL, 'The key has expired.', 'The key was revoked.'),
        decided_at = coalesce(NEW.revoked_at, max(NEW.expires_at, CAST(unixepoch('subsec') * 1000000 AS INTEGER)))
    WHERE workspace = NEW.workspace AND key = NEW.id AND status = 'open';
END;
-- +goose StatementEnd
