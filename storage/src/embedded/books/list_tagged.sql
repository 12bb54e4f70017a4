-- By the first tag; the others, as a JSON list of pairs, each have to be there too.
SELECT d.id, d.revision, d.body FROM tags t JOIN documents d ON d.number = t.document
WHERE t.tenant = :tenant AND t.collection = :collection AND t.name = :name AND t.value = :value
  AND t.id >= :low AND t.id < :high
  AND NOT EXISTS (
    SELECT 1 FROM json_each(:others) other
    WHERE NOT EXISTS (
      SELECT 1 FROM tags o
      WHERE o.document = t.document AND o.name = other.value ->> 0 AND o.value = other.value ->> 1))
ORDER BY t.id
