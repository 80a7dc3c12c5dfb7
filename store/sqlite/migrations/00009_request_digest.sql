-- +goose Up

-- Distinguishes requests under one idempotency key. NULL: the key was issued before this column
-- existed, or without an idempotency key.
ALTER TABLE keys ADD COLUMN request_digest BLOB CHECK (length(request_digest) > 0);
