-- What many charges share. `grouping` and `plan` are JSON.
CREATE TABLE series (
    number       INTEGER PRIMARY KEY,
    tenant       TEXT NOT NULL,
    customer     TEXT NOT NULL,
    subscription TEXT NOT NULL,
    start        INTEGER NOT NULL,
    price        TEXT NOT NULL,
    grouping     TEXT NOT NULL,
    plan         TEXT NOT NULL,
    meter        TEXT NOT NULL,
    UNIQUE (tenant, customer, subscription, start, price, grouping, plan, meter)
) STRICT;

-- The charges of one series that came with one output, packed; `quantity` and `amount` are 16 bytes, little-endian.
CREATE TABLE chunks (
    number   INTEGER PRIMARY KEY,
    series   INTEGER NOT NULL REFERENCES series (number),
    count    INTEGER NOT NULL,
    time_min INTEGER NOT NULL,
    time_max INTEGER NOT NULL,
    quantity BLOB NOT NULL,
    amount   BLOB NOT NULL,
    rows     BLOB NOT NULL
) STRICT;
CREATE INDEX chunks_of_series ON chunks (series);

CREATE TABLE manifests (
    shard        INTEGER NOT NULL,
    record       INTEGER NOT NULL,
    place        INTEGER NOT NULL,
    tenant       TEXT NOT NULL,
    customer     TEXT NOT NULL,
    subscription TEXT NOT NULL,
    start        INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    body         TEXT NOT NULL,
    PRIMARY KEY (shard, record, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifests_of_period ON manifests (tenant, customer, subscription, start, revision);

CREATE TABLE outcomes (
    tenant   TEXT NOT NULL,
    shard    INTEGER NOT NULL,
    record   INTEGER NOT NULL,
    place    INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    customer TEXT NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (tenant, shard, record, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE boundaries (
    shard     INTEGER PRIMARY KEY,
    next      INTEGER NOT NULL,
    log_time  INTEGER NOT NULL,
    counters  TEXT NOT NULL,
    close_due INTEGER NOT NULL
) STRICT;
