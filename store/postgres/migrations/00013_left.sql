-- +goose Up

-- The requests that the limits of a key still allowed at its last use, as a gateway reported it.
ALTER TABLE usage
    ADD COLUMN limits text COLLATE "C", -- JSON array; NULL: no report
    ADD COLUMN limits_at bigint;        -- time of the report
