SELECT number, who, action, log_time, collection, id, body_before, body_after FROM audit
WHERE tenant = $1 AND number > $2
ORDER BY number LIMIT $3
