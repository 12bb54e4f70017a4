-- What is there already keeps its tags, but for those that are not given: each part of a statement sees what was there before it.
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[])
        AS given (tenant, collection, id, revision, body, tags)
), put AS (
    INSERT INTO documents (tenant, collection, id, revision, body)
    SELECT tenant, collection, id, revision, body FROM given
    ON CONFLICT (tenant, collection, id) DO UPDATE SET revision = excluded.revision, body = excluded.body
    RETURNING number, tenant, collection, id
), untagged AS (
    DELETE FROM tags USING given
    WHERE (tags.tenant, tags.collection, tags.id) = (given.tenant, given.collection, given.id) AND NOT EXISTS (
        SELECT FROM json_array_elements(given.tags::json) AS listed (tag)
        WHERE tag ->> 0 = tags.name AND tag ->> 1 = tags.value)
), tagged AS (
    INSERT INTO tags (tenant, collection, name, value, id, document)
    SELECT put.tenant, put.collection, tag ->> 0, tag ->> 1, put.id, put.number
    FROM put JOIN given USING (tenant, collection, id), json_array_elements(given.tags::json) AS listed (tag)
    ON CONFLICT DO NOTHING
), noted AS (
    INSERT INTO audit (number, who, action, log_time, tenant, collection, id, body_before, body_after)
    SELECT * FROM unnest($7::bigint[], $8::text[], $9::text[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[])
    ON CONFLICT DO NOTHING
)
UPDATE commits SET revision = revision + 1, entries = greatest(entries, (SELECT max(number) FROM unnest($7::bigint[]) AS number))
