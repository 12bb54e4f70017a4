SELECT tenant, collection, id, revision, body,
    coalesce((SELECT json_agg(json_build_array(name, value) ORDER BY name, value) FROM tags WHERE document = documents.number), '[]')::text
FROM documents
WHERE (tenant, collection, id) > ($1::text, $2::text, $3::text)
ORDER BY tenant, collection, id LIMIT $4
