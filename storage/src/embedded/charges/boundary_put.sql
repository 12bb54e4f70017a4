INSERT INTO boundaries (shard, next, log_time, counters) VALUES (:shard, :next, :log_time, :counters)
ON CONFLICT (shard) DO UPDATE SET next = excluded.next, log_time = excluded.log_time, counters = excluded.counters
