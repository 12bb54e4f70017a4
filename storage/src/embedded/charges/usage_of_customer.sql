SELECT s.number, s.customer, s.subscription, s.start, s.meter, s.price, s.grouping,
       c.events, c.time_min, c.time_max, c.quantity, c.amount, c.rows
FROM series s JOIN chunks c ON c.series = s.number
WHERE s.tenant = :tenant AND s.customer = :customer AND (:meter IS NULL OR s.meter = :meter)
  AND c.time_max >= :from AND c.time_min <= :last
