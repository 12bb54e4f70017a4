SELECT number, who, action, log_time, tenant, collection, id, body_before, body_after FROM audit
WHERE number > $1
ORDER BY number LIMIT $2
