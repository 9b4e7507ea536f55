-- Every query about experiments, by name. A query ends where the next one begins.

-- name: experiment
select * from experiments where model = $1 and id = $2;

-- name: lock_model
-- Two that start experiments of one model wait for each other.
select pg_advisory_xact_lock(hashtextextended('experiments/' || $1, 0));

-- name: lock_experiment
select * from experiments where model = $1 and id = $2 for update;

-- name: experiments_of
select * from experiments where model = $1 order by create_time desc, id limit $2;

-- name: count_experiments
select count(*) from experiments where model = $1;

-- name: running_of
select id from experiments where model = $1 and state = 'running';

-- name: running_experiments
select model, id, coalesce((definition ->> 'stop_on_harm')::boolean, false) as guarded
from experiments where state = 'running' order by model, id;

-- name: insert_experiment
insert into experiments (model, id, definition, owner, create_time, state, phases) values ($1, $2, $3, $4, $5, 'draft', '[]');

-- name: update_experiment
update experiments set state = $3, phases = $4, end_time = $5, end_reason = $6, stopped = $7 where model = $1 and id = $2;

-- name: reported
update experiments set reported = array_append(reported, $3) where model = $1 and id = $2;

-- name: claim_due
-- The one that nobody has looked at for longest, whichever replica asks.
update experiments set look_time = now() where (model, id) = (
    select model, id from experiments
    where state = 'running' and (look_time is null or look_time < now() - $1::interval)
    order by look_time nulls first, model, id limit 1 for update skip locked
) returning model, id;
