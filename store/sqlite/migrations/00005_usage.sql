-- +goose Up

-- When keys were used last. Apart from keys, whose rows are wide.
CREATE TABLE usage (
    workspace    TEXT    NOT NULL REFERENCES workspaces (id),
    id           BLOB    NOT NULL CHECK (length(id) = 16), -- of the key
    last_used_at INTEGER NOT NULL,
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;

-- How far that is known, of the workspaces of which anybody reports it.
CREATE TABLE usage_reports (
    workspace   TEXT    NOT NULL PRIMARY KEY REFERENCES workspaces (id),
    since       INTEGER NOT NULL,
    reported_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
