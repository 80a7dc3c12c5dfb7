-- +goose Up

-- Key pairs that sign access tokens. Their JWKs are in the table jwks.
CREATE TABLE signers (
    workspace text COLLATE "C" NOT NULL,
    kid       bytea            NOT NULL CHECK (length(kid) = 32),
    usable_at bigint           NOT NULL,
    ends_at   bigint           NOT NULL,
    remove_at bigint           NOT NULL,
    PRIMARY KEY (workspace, kid)
);

CREATE INDEX signers_due ON signers (remove_at, workspace);

-- Workspaces in which keys can be exchanged. For a change of a workspace's other columns, this index is not written.
CREATE INDEX workspaces_exchanging ON workspaces (id) WHERE policy LIKE '%"exchange":{"enabled":true%';
