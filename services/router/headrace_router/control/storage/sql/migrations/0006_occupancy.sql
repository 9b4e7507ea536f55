-- What else a batcher reports, which no change waits for: how busy it is, what it holds though nothing wants it, whether
-- it is about to stop.
alter table reports add column occupancy jsonb not null default '{}';
