-- Share of a model's traffic that versions may get which are not promoted; null for what its gates make of it.
alter table models add column max_unpromoted_share double precision;
