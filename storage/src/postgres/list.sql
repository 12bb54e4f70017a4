SELECT id, revision, body FROM documents
WHERE tenant = $1 AND collection = $2 AND id >= $3 AND id < $4 AND body IS NOT NULL
ORDER BY id
