-- +goose Up

-- The attributes that the producer set, which the key's owner cannot exceed.
ALTER TABLE keys ADD COLUMN ceiling TEXT; -- JSON object; NULL: none
