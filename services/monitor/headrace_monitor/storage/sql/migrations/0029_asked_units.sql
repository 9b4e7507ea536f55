-- Units with a request that was computed or failed, as sketches like those that erred.
alter table counter_erring_units add column asked_hashes bytea not null default '';
