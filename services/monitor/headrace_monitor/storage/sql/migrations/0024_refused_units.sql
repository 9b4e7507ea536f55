-- Units that were refused, as sketches like those that erred.
alter table counter_erring_units add column refused_hashes bytea not null default '';
