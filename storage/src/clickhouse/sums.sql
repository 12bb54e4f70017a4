-- The hash is that of `row_hash`, computed from the columns as they are stored.
SELECT customer, subscription, period, price, grouping, tier,
       count() AS rows,
       toString(sum(toDecimal256(quantity, 9))) AS quantities,
       toString(sum(toDecimal256(amount, 24))) AS amounts,
       sumWithOverflow(sipHash64(concat(
           reinterpretAsFixedString(record), reinterpretAsFixedString(place),
           reinterpretAsFixedString(event_record), reinterpretAsFixedString(event_place),
           reinterpretAsFixedString(time), reinterpretAsFixedString(quantity), reinterpretAsFixedString(amount),
           reinterpretAsFixedString(tier), reinterpretAsFixedString(isNotNull(level)),
           reinterpretAsFixedString(ifNull(level, toDecimal128(0, 9))), id))) AS hash
FROM charges FINAL
WHERE tenant = {tenant:String}
  AND (customer, period, subscription) IN {periods:Array(Tuple(String, DateTime64(9, 'UTC'), String))}
GROUP BY customer, subscription, period, price, grouping, tier
