SELECT number FROM series
WHERE tenant = ? AND customer = ? AND subscription = ? AND start = ? AND price = ? AND grouping = ? AND plan = ? AND meter = ?
