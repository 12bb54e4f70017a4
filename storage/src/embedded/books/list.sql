SELECT id, revision, body FROM documents
WHERE tenant = :tenant AND collection = :collection AND id >= :low AND id < :high AND body IS NOT NULL
ORDER BY id
