-- By the first tag; the others each have to be there too.
SELECT d.id, d.revision, d.body FROM tags t JOIN documents d ON d.number = t.document
WHERE t.tenant = $1 AND t.collection = $2 AND t.id >= $3 AND t.id < $4 AND t.name = $6 AND t.value = $7
  AND NOT EXISTS (
    SELECT 1 FROM unnest($8::text[], $9::text[]) AS other (name, value)
    WHERE NOT EXISTS (
      SELECT 1 FROM tags o WHERE o.document = t.document AND o.name = other.name AND o.value = other.value))
ORDER BY t.id
