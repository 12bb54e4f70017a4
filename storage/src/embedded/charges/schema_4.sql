-- How many of the rows an event caused. Older chunks do not say it: their rows are counted.
ALTER TABLE chunks ADD COLUMN events INTEGER;
