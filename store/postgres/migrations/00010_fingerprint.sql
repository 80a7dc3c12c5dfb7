-- +goose Up

-- The exclusive or of all published kids, so that a server can compare what it publishes with the
-- database without reading the set.
ALTER TABLE workspaces ADD COLUMN fingerprint bit(256) NOT NULL DEFAULT repeat('0', 256)::bit(256);

UPDATE workspaces SET fingerprint = kids
FROM (SELECT workspace, bit_xor(('x' || encode(kid, 'hex'))::bit(256)) AS kids FROM jwks GROUP BY workspace) AS jwks
WHERE id = workspace;

-- The program updates the fingerprint with the version. The triggers do so for changes by hand and by
-- servers of an earlier version. The search_path is fixed for sessions that have another.
-- +goose StatementBegin
CREATE FUNCTION update_fingerprint() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE workspaces SET fingerprint = fingerprint # kids
    FROM (SELECT workspace, bit_xor(('x' || encode(kid, 'hex'))::bit(256)) AS kids FROM changed GROUP BY workspace) AS jwks
    WHERE id = workspace;
    RETURN NULL; -- ignored after a statement
END $$;
-- +goose StatementEnd

CREATE TRIGGER jwks_inserted AFTER INSERT ON jwks REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT WHEN (current_setting('burnkey.fingerprint', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION update_fingerprint();

CREATE TRIGGER jwks_deleted AFTER DELETE ON jwks REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT WHEN (current_setting('burnkey.fingerprint', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION update_fingerprint();

-- An update removes the old kids and adds the new ones.
CREATE TRIGGER jwks_updated_from AFTER UPDATE ON jwks REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT WHEN (current_setting('burnkey.fingerprint', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION update_fingerprint();

CREATE TRIGGER jwks_updated_to AFTER UPDATE ON jwks REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT WHEN (current_setting('burnkey.fingerprint', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION update_fingerprint();

-- +goose StatementBegin
CREATE FUNCTION clear_fingerprints() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE workspaces SET fingerprint = repeat('0', 256)::bit(256);
    RETURN NULL; -- ignored after a statement
END $$;
-- +goose StatementEnd

CREATE TRIGGER jwks_truncated AFTER TRUNCATE ON jwks FOR EACH STATEMENT EXECUTE FUNCTION clear_fingerprints();
