-- The fold's own totals of a period, put out at its close and again when they changed; `body` is the whole, as JSON.
CREATE TABLE IF NOT EXISTS manifests (
    shard UInt16,
    record UInt64,
    place UInt32,
    tenant LowCardinality(String),
    customer String,
    period DateTime64(9, 'UTC'),
    subscription String,
    revision UInt32,
    body String
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(period)
ORDER BY (shard, record, place)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
