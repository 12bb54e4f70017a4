SELECT kind, shard, record, place, event_record, event_place, tenant, customer, source, id, type, time, reason, properties
FROM outcomes FINAL
WHERE tenant = {tenant:String}
  AND toInt32(shard) >= {shard:Int32}
  AND (toInt32(shard), record, place) > ({shard:Int32}, {record:UInt64}, {place:UInt32})
  AND ({customer:Nullable(String)} IS NULL OR customer = {customer:Nullable(String)})
  AND (empty({kinds:Array(String)}) OR has({kinds:Array(String)}, kind))
ORDER BY shard, record, place
LIMIT {count_max:UInt64}
