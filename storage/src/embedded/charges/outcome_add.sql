INSERT OR REPLACE INTO outcomes (tenant, shard, record, place, kind, customer, body) VALUES (?, ?, ?, ?, ?, ?, ?)
