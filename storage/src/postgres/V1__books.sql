-- Tenant '' is the installation itself. Names are compared by their bytes. A document that was removed keeps its row without
-- a body, so that its revisions go on from there.
CREATE TABLE documents (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant     text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    revision   bigint NOT NULL,
    body       text,
    UNIQUE (tenant, collection, id)
);

CREATE TABLE tags (
    tenant     text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    value      text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    document   bigint NOT NULL REFERENCES documents (number),
    PRIMARY KEY (tenant, collection, name, value, id)
);
CREATE INDEX tags_of_document ON tags (document);

CREATE TABLE audit (
    number      bigint PRIMARY KEY,
    who         text NOT NULL,
    action      text NOT NULL,
    log_time    bigint NOT NULL,
    tenant      text COLLATE "C" NOT NULL,
    collection  text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    body_before text,
    body_after  text
);
CREATE INDEX audit_of_tenant ON audit (tenant, number);

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END $$;
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

-- One row: how many commits and entries of the audit log there are. Every commit locks it first and raises it in its own
-- transaction, so revisions become visible in their order: who has read revision n sees all of the commits up to n.
CREATE TABLE commits (
    revision bigint NOT NULL,
    entries  bigint NOT NULL
);
INSERT INTO commits VALUES (0, 0);

CREATE TABLE leases (
    name   text COLLATE "C" PRIMARY KEY,
    holder text COLLATE "C" NOT NULL,
    until  timestamptz NOT NULL
);

-- One commit, in the one statement that calls this: no client holds a lock while it thinks, or after it died. An
-- expectation is a revision, -1 for anything or -2 for absent. Answers 0 when all of it is done; where nothing is, the
-- number of the put whose expectation does not hold, or -n when another has taken the n-th lease that the writer held.
CREATE FUNCTION commit_documents(
    by_whom text, by_action text, at_log_time bigint,
    held_leases text[], held_by text[],
    put_tenants text[], put_collections text[], put_ids text[],
    put_expects bigint[], put_bodies text[], put_tags text[], put_audited boolean[]
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    refused  integer;
    entry    bigint;
    found_number   bigint;
    found_revision bigint;
    found_body     text;
BEGIN
    SELECT c.entries INTO entry FROM commits c FOR UPDATE;
    FOR place IN 1 .. cardinality(held_leases) LOOP
        refused := -place;
        PERFORM 1 FROM leases l WHERE l.name = held_leases[place] AND l.holder = held_by[place] FOR SHARE;
        IF NOT FOUND THEN
            RAISE SQLSTATE 'FA001';
        END IF;
    END LOOP;
    FOR place IN 1 .. cardinality(put_ids) LOOP
        refused := place;
        SELECT d.number, d.revision, d.body INTO found_number, found_revision, found_body FROM documents d
        WHERE d.tenant = put_tenants[place] AND d.collection = put_collections[place] AND d.id = put_ids[place];
        IF put_expects[place] = -2 AND found_body IS NOT NULL
            OR put_expects[place] >= 0 AND (found_body IS NULL OR found_revision <> put_expects[place])
        THEN
            RAISE SQLSTATE 'FA001';
        END IF;
        IF found_number IS NOT NULL THEN
            UPDATE documents d SET body = put_bodies[place],
                revision = CASE WHEN put_bodies[place] IS NULL THEN d.revision ELSE d.revision + 1 END
            WHERE d.number = found_number;
            DELETE FROM tags t WHERE t.document = found_number;
        ELSIF put_bodies[place] IS NOT NULL THEN
            INSERT INTO documents (tenant, collection, id, revision, body)
            VALUES (put_tenants[place], put_collections[place], put_ids[place], 1, put_bodies[place])
            RETURNING number INTO found_number;
        END IF;
        IF put_bodies[place] IS NOT NULL AND put_tags[place] IS NOT NULL THEN
            INSERT INTO tags (tenant, collection, name, value, id, document)
            SELECT put_tenants[place], put_collections[place], tag ->> 0, tag ->> 1, put_ids[place], found_number
            FROM json_array_elements(put_tags[place]::json) AS listed (tag)
            ON CONFLICT DO NOTHING;
        END IF;
        IF put_audited[place] THEN
            entry := entry + 1;
            INSERT INTO audit (number, who, action, log_time, tenant, collection, id, body_before, body_after)
            VALUES (entry, by_whom, by_action, at_log_time, put_tenants[place], put_collections[place], put_ids[place],
                    found_body, put_bodies[place]);
        END IF;
    END LOOP;
    UPDATE commits SET revision = revision + 1, entries = entry;
    RETURN 0;
EXCEPTION WHEN SQLSTATE 'FA001' THEN
    RETURN refused;
END $$;
