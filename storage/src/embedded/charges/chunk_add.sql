INSERT INTO chunks (series, count, events, time_min, time_max, quantity, amount, rows) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
