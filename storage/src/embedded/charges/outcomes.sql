SELECT body FROM outcomes
WHERE tenant = :tenant AND (shard, record, place) > (:shard, :record, :place)
  AND (:customer IS NULL OR customer = :customer)
  AND (:kinds IS NULL OR kind IN (SELECT value FROM json_each(:kinds)))
ORDER BY shard, record, place LIMIT :count_max
