-- Sums by units that add up however their rows are divided among files. `units` is read by older releases alone, to
-- which rows without it are independent.
alter table windows add column unit_sums bytea;
