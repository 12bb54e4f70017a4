INSERT INTO manifests (shard, record, place, tenant, customer, subscription, start, revision, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
