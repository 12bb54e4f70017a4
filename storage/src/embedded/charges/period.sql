SELECT s.price, s.grouping, s.meter, c.rows FROM series s JOIN chunks c ON c.series = s.number
WHERE s.tenant = :tenant AND s.customer = :customer AND s.subscription = :subscription AND s.start = :start
ORDER BY s.number, c.number
