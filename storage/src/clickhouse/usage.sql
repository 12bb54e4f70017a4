SELECT customer, subscription, period, bucket, meter, price, grouping,
       -- What no event caused counts for nothing.
       countIf(event_place != 4294967295) AS events,
       toString(sum(toDecimal256(quantity, 9))) AS quantities,
       toString(sum(toDecimal256(amount, 24))) AS amounts
FROM (
    SELECT *, toUnixTimestamp64Nano(time) AS nanos,
           toInt64(if({stretch:Int64} = 0, 0, nanos - positiveModulo(nanos, greatest({stretch:Int64}, 1)))) AS bucket
    FROM charges FINAL
    WHERE tenant = {tenant:String}
      AND ({customer:Nullable(String)} IS NULL OR customer = {customer:Nullable(String)})
      AND ({meter:Nullable(String)} IS NULL OR meter = {meter:Nullable(String)})
      AND toUnixTimestamp64Nano(time) BETWEEN {from:Int64} AND {last:Int64}
)
GROUP BY customer, subscription, period, plan, plan_version, bucket, meter, price, grouping
LIMIT {count_max:UInt64}
