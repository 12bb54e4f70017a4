SELECT shard, next, log_time, close_due, arrivals, charged, unpriced, unmetered, duplicate, rejected, parked, waiting,
    record
FROM boundaries
WHERE shard IN {shards:Array(UInt16)}
ORDER BY next DESC LIMIT 1 BY shard
