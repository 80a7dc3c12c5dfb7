-- +goose Up

-- One row about the database itself.
CREATE TABLE installation (
    -- The lowest schema version that a program must know to use this database, even if the schema has a higher one. Only
    -- a migration after which older programs would fail raises it.
    needs_schema bigint NOT NULL,
    home         text COLLATE "C" -- where a server last used the database: a copy is somewhere else; NULL: unknown
);

INSERT INTO installation (needs_schema) VALUES (19);
