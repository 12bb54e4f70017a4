SELECT body FROM manifests
WHERE shard = :shard AND (record, place) > (:record, :place)
ORDER BY record, place LIMIT :count_max
