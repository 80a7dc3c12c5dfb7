-- +goose Up

-- The requests that the limits of a key still allowed at its last use, as a gateway reported it.
ALTER TABLE usage ADD COLUMN limits TEXT;       -- JSON array; NULL: no report
ALTER TABLE usage ADD COLUMN limits_at INTEGER; -- time of the report
