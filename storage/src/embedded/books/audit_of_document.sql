SELECT number, who, action, log_time, collection, id, body_before, body_after FROM audit
WHERE tenant = :tenant AND collection = :collection AND id = :id AND number BETWEEN :first AND :last
  AND (:from IS NULL OR log_time >= :from) AND (:until IS NULL OR log_time < :until)
ORDER BY number
