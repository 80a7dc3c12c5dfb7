-- +goose Up

-- One row about the database itself.
CREATE TABLE installation (
    -- The lowest schema version that a program must know to use this database, even if the schema has a higher one. Only
    -- a migration after which older programs would fail raises it.
    needs_schema INTEGER NOT NULL,
    home         TEXT -- where a server last used the database: a copy is somewhere else; NULL: unknown
) STRICT;

INSERT INTO installation (needs_schema) VALUES (19);
