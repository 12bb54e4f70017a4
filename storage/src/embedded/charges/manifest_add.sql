INSERT INTO manifests (tenant, customer, subscription, start, revision, body) VALUES (?, ?, ?, ?, ?, ?)
