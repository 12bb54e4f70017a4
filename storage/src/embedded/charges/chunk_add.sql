INSERT INTO chunks (series, count, time_min, time_max, quantity, amount, rows) VALUES (?, ?, ?, ?, ?, ?, ?)
