-- +goose Up

ALTER TABLE sessions ADD COLUMN login boolean NOT NULL DEFAULT false;
