-- Every query of comparisons, by name. A query ends where the next one begins.

-- name: make
insert into shadow_comparisons (model, version, shadow_version, hour, comparison) values ($1, $2, $3, $4, '')
on conflict do nothing;

-- name: lock
-- Replicas take pairs of the same versions in turn.
select comparison from shadow_comparisons where model = $1 and version = $2 and shadow_version = $3 and hour = $4 for update;

-- name: put
update shadow_comparisons set comparison = $5 where model = $1 and version = $2 and shadow_version = $3 and hour = $4;

-- name: of_model
select version, shadow_version, comparison from shadow_comparisons
where model = $1 and hour >= $2 and hour < $3 and comparison <> '' order by version, shadow_version, hour;

-- name: models_since
select distinct model from shadow_comparisons where hour >= $1 and comparison <> '';

-- name: expire
delete from shadow_comparisons where hour < now() - $1::interval;
