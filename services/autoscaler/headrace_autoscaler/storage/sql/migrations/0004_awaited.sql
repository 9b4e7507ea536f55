-- Until when somebody waits for a replica of a pool that has none.
alter table pools add column awaited_until timestamptz;
