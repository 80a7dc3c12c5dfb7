-- +goose Up

-- One row about the database itself.
CREATE TABLE installation (
    -- The lowest schema version that a program must know to use this database. A program that knows less than the
    -- database has, but at least this, works with it. Only a migration after which earlier programs fail raises it.
    needs_schema INTEGER NOT NULL,
    home         TEXT -- where a server last used the database: a copy is somewhere else; NULL: unknown
) STRICT;

INSERT INTO installation (needs_schema) VALUES (19);
