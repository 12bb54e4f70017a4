INSERT INTO boundaries (shard, next, log_time, counters, close_due, record)
VALUES (:shard, :next, :log_time, :counters, :close_due, :record)
ON CONFLICT (shard) DO UPDATE SET
    next = excluded.next, log_time = excluded.log_time, counters = excluded.counters, close_due = excluded.close_due,
    record = excluded.record
