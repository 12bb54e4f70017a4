SELECT tenant, collection, id, revision, body,
    (SELECT json_group_array(json_array(name, value))
     FROM (SELECT name, value FROM tags WHERE document = documents.number ORDER BY name, value))
FROM documents
WHERE (tenant, collection, id) > (?, ?, ?)
ORDER BY tenant, collection, id LIMIT ?
