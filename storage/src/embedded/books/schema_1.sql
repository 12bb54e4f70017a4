-- Tenant '' is the installation itself. A document that was removed keeps its row without a body, so that its revisions
-- go on from there.
CREATE TABLE documents (
    number     INTEGER PRIMARY KEY,
    tenant     TEXT NOT NULL,
    collection TEXT NOT NULL,
    id         TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    body       TEXT,
    UNIQUE (tenant, collection, id)
) STRICT;

CREATE TABLE tags (
    tenant     TEXT NOT NULL,
    collection TEXT NOT NULL,
    name       TEXT NOT NULL,
    value      TEXT NOT NULL,
    id         TEXT NOT NULL,
    document   INTEGER NOT NULL REFERENCES documents (number),
    PRIMARY KEY (tenant, collection, name, value, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_of_document ON tags (document);

CREATE TABLE audit (
    number      INTEGER PRIMARY KEY,
    who         TEXT NOT NULL,
    action      TEXT NOT NULL,
    log_time    INTEGER NOT NULL,
    tenant      TEXT NOT NULL,
    collection  TEXT NOT NULL,
    id          TEXT NOT NULL,
    body_before TEXT,
    body_after  TEXT
) STRICT;
CREATE INDEX audit_of_tenant ON audit (tenant, number);
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;

CREATE TABLE commits (revision INTEGER NOT NULL) STRICT;
INSERT INTO commits VALUES (0);

CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL) STRICT;
