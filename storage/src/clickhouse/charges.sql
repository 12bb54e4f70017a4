-- One row for each event and price: what the event did to the price, exact. A row is a function of the log, so rows with an
-- equal key are equal, and always stand in the same partition.
CREATE TABLE IF NOT EXISTS charges (
    tenant LowCardinality(String),
    customer String,
    period DateTime64(9, 'UTC'),
    subscription String,
    plan LowCardinality(String),
    plan_version UInt32,
    price LowCardinality(String),
    meter LowCardinality(String),
    grouping String,
    shard UInt16,
    record UInt64,
    place UInt32,
    event_record UInt64,
    event_place UInt32,
    source LowCardinality(String),
    id String,
    time DateTime64(9, 'UTC'),
    quantity Decimal(38, 9),
    amount Decimal(38, 24),
    tier UInt32,
    level Nullable(Decimal(38, 9))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(period)
ORDER BY (tenant, customer, period, subscription, price, shard, record, place)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
