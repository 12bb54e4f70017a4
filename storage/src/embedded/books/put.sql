INSERT INTO documents (tenant, collection, id, revision, body) VALUES (:tenant, :collection, :id, :revision, :body)
ON CONFLICT (tenant, collection, id) DO UPDATE SET revision = excluded.revision, body = excluded.body
RETURNING number
