-- What tells the record before `next`, and its log, from any other.
ALTER TABLE boundaries ADD COLUMN record INTEGER NOT NULL DEFAULT 0;
