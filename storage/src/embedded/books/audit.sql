SELECT number, who, action, log_time, collection, id, body_before, body_after FROM audit
WHERE tenant = :tenant AND number > :after
ORDER BY number LIMIT :count_max
