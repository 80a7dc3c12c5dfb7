-- +goose Up

-- When keys were used last. Apart from keys, whose rows are wide and whose changes
-- wait for one another. While its key is in use a row is updated about once a minute,
-- so half of each page is left for its next versions: no index has to follow.
CREATE TABLE usage (
    workspace    text COLLATE "C" NOT NULL,
    id           uuid NOT NULL, -- of the key
    last_used_at bigint NOT NULL,
    PRIMARY KEY (workspace, id)
) WITH (fillfactor = 50);

-- How far that is known, of the workspaces of which anybody reports it.
CREATE TABLE usage_reports (
    workspace   text COLLATE "C" NOT NULL PRIMARY KEY,
    since       bigint NOT NULL,
    until       bigint NOT NULL, -- the least of usage_reporters
    reported_at bigint NOT NULL
) WITH (fillfactor = 50);

-- The time up to which each reporter has reported all uses.
CREATE TABLE usage_reporters (
    workspace   text COLLATE "C" NOT NULL,
    reporter    text COLLATE "C" NOT NULL,
    until       bigint NOT NULL,
    reported_at bigint NOT NULL,
    PRIMARY KEY (workspace, reporter)
) WITH (fillfactor = 50);
