-- +goose Up

-- Tells requests under an idempotency key apart; NULL: the key was issued before this column
-- was there, or without one.
ALTER TABLE keys ADD COLUMN request_digest bytea;
