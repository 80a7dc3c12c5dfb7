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
    until       INTEGER NOT NULL, -- the least of usage_reporters
    reported_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The time up to which each reporter has reported all uses.
CREATE TABLE usage_reporters (
    workspace   TEXT    NOT NULL REFERENCES workspaces (id),
    reporter    TEXT    NOT NULL,
    until       INTEGER NOT NULL,
    reported_at INTEGER NOT NULL,
    PRIMARY KEY (workspace, reporter)
) STRICT, WITHOUT ROWID;
