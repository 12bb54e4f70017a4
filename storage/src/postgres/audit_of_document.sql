SELECT number, who, action, log_time, collection, id, body_before, body_after FROM audit
WHERE tenant = $1 AND number BETWEEN $2 AND $3 AND collection = $4 AND id = $5
  AND ($6::bigint IS NULL OR log_time >= $6) AND ($7::bigint IS NULL OR log_time < $7)
ORDER BY number
