SELECT price, meter, grouping, shard, record, place, event_record, event_place, source, id, time, quantity, amount, tier,
    level
FROM charges FINAL
WHERE tenant = {tenant:String} AND customer = {customer:String}
  AND period = {period:DateTime64(9, 'UTC')} AND subscription = {subscription:String}
  AND ({price:Nullable(String)} IS NULL OR price = {price:Nullable(String)})
  AND ({grouping:Nullable(String)} IS NULL OR grouping = {grouping:Nullable(String)})
  AND record >= {from:UInt64} AND record < {until:UInt64}
  AND ({shard:Int32} < 0 OR
       (toUnixTimestamp64Nano(time), toInt32(shard), record, place) >
       ({time:Int64}, {shard:Int32}, {record:UInt64}, {place:UInt32}))
ORDER BY time, shard, record, place
LIMIT {count_max:UInt64}
