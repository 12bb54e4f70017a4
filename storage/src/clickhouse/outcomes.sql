-- Arrivals that were not charged, with the reason.
CREATE TABLE IF NOT EXISTS outcomes (
    tenant LowCardinality(String),
    shard UInt16,
    record UInt64,
    place UInt32,
    kind LowCardinality(String),
    event_record UInt64,
    event_place UInt32,
    customer String,
    source LowCardinality(String),
    id String,
    type LowCardinality(String),
    time DateTime64(9, 'UTC'),
    reason String,
    properties Map(String, String)
)
ENGINE = ReplacingMergeTree
ORDER BY (tenant, shard, record, place)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
