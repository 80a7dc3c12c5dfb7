-- +goose Up

-- A key that is revoked or has expired ends its open requests, whichever statement removes it. The id of the audit's
-- entry is that of store.EntryID with the highest count, so it comes after the key's entry of the same time. The
-- search_path is fixed for sessions that have another.
-- +goose StatementBegin
CREATE FUNCTION end_requests() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    moment bigint := coalesce(NEW.revoked_at, greatest(NEW.expires_at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint));
    word text := CASE WHEN NEW.revoked_at IS NULL THEN 'The key has expired.' ELSE 'The key was revoked.' END;
BEGIN
    WITH ended AS (
        UPDATE requests SET status = 'declined', decided_at = moment, decided_by_kind = 'system', decided_by = '', answer = word,
            event = coalesce(event, 'decided')
        WHERE workspace = NEW.workspace AND key = NEW.id AND status = 'open'
        RETURNING *
    )
    INSERT INTO audit (workspace, id, at, actor_kind, actor_id, actor_from, action, key, owner, result, detail)
    SELECT workspace, encode(int8send((moment / 1000 << 16) | (7 << 12) | (moment % 1000 << 2)) || '\xbfffffff' ||
            substring(uuid_send(gen_random_uuid()) FROM 1 FOR 4), 'hex')::uuid, moment,
        'system', '', '', 'request.decline', key, owner, 'ok',
        '{"answer":"' || word || '",' || substr(wanted, 2, length(wanted) - 2) || ',"request":"' || id || '"}'
    FROM ended;
    RETURN NULL; -- ignored after a row
END $$;
-- +goose StatementEnd

CREATE TRIGGER keys_end_requests AFTER UPDATE OF revoked_at, expired_version ON keys FOR EACH ROW
    WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL OR OLD.expired_version IS NULL AND NEW.expired_version IS NOT NULL)
    EXECUTE FUNCTION end_requests();
