INSERT INTO audit (who, action, log_time, tenant, collection, id, body_before, body_after)
VALUES (:who, :action, :log_time, :tenant, :collection, :id, :before, :after)
