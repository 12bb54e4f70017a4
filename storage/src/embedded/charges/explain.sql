SELECT s.price, s.grouping, s.meter, c.rows FROM series s JOIN chunks c ON c.series = s.number
WHERE s.tenant = :tenant AND s.customer = :customer AND s.subscription = :subscription AND s.start = :start
  AND (:price IS NULL OR s.price = :price) AND (:grouping IS NULL OR s.grouping = :grouping)
  AND c.time_max >= :time_min
