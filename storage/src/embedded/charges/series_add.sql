INSERT INTO series (tenant, customer, subscription, start, price, grouping, plan, meter) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
