-- How far a shard is stored: everything before the record `next`; the largest counts. What became of all its arrivals.
CREATE TABLE IF NOT EXISTS boundaries (
    shard UInt16,
    next UInt64,
    log_time DateTime64(9, 'UTC'),
    close_due Bool,
    arrivals UInt64,
    charged UInt64,
    unpriced UInt64,
    unmetered UInt64,
    duplicate UInt64,
    rejected UInt64,
    parked UInt64,
    waiting UInt64,
    record UInt64
)
ENGINE = ReplacingMergeTree(next)
ORDER BY shard
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
