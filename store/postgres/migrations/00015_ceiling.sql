-- +goose Up

-- The attributes that the producer set, which the key's owner cannot exceed.
ALTER TABLE keys ADD COLUMN ceiling text COLLATE "C"; -- JSON object; NULL: none
