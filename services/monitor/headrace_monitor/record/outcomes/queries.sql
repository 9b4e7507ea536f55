-- Every query about outcomes, by name. A query ends where the next one begins.

-- name: insert_outcomes
-- Those that are new. Waits for transactions that are about to record the same.
insert into outcomes (model, prediction_id, row_number, kind, number, text, observe_time, record_time, client, replaced)
select $1, given.*
from unnest(
    $2::uuid[], $3::int[], $4::text[], $5::float8[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::text[], $10::jsonb[]
) as given
on conflict do nothing
returning prediction_id, row_number, kind;

-- name: lock_outcomes
-- What is recorded of these, locked in one order by everybody.
select prediction_id, row_number, kind, number, text, observe_time, record_time, client
from outcomes join unnest($2::uuid[], $3::int[], $4::text[]) as given (prediction_id, row_number, kind)
    using (prediction_id, row_number, kind)
where model = $1
order by prediction_id, row_number, kind
for no key update of outcomes;

-- name: update_outcomes
-- Corrections are put before what was corrected earlier, and the oldest fall out: MAX_REPLACED stay.
update outcomes
set number = given.number, text = given.text, observe_time = given.observe_time, record_time = given.record_time,
    client = given.client,
    replaced = jsonb_path_query_array(given.replaced || outcomes.replaced, '$[0 to 9]')
from unnest(
    $2::uuid[], $3::int[], $4::text[], $5::float8[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::text[], $10::jsonb[]
) as given (prediction_id, row_number, kind, number, text, observe_time, record_time, client, replaced)
where (outcomes.model, outcomes.prediction_id, outcomes.row_number, outcomes.kind)
    = ($1, given.prediction_id, given.row_number, given.kind);

-- name: insert_arrivals
insert into outcome_arrivals (model, prediction_id, row_number, kind, first, arrive_time, next_try)
select $1, given.*, $6, $6 from unnest($2::uuid[], $3::int[], $4::text[], $5::boolean[]) as given;

-- name: insert_entity_outcomes
insert into entity_outcomes
    (model, entity_id, row_number, kind, observe_time, number, text, record_time, client, reach, next_try)
select $1, given.*, $8, $9, $10, $8
from unnest($2::text[], $3::int[], $4::text[], $5::timestamptz[], $6::float8[], $7::text[]) as given
on conflict do nothing
returning entity_id, row_number, kind, observe_time;

-- name: lock_entity_outcomes
select entity_id, row_number, kind, observe_time, number, text, record_time, client, state, entity_outcomes.reach
from entity_outcomes join unnest($2::text[], $3::int[], $4::text[], $5::timestamptz[])
    as given (entity_id, row_number, kind, observe_time) using (entity_id, row_number, kind, observe_time)
where model = $1
order by entity_id, kind, row_number, observe_time
for no key update of entity_outcomes;

-- name: update_entity_outcomes
-- Looked for anew: with another value, or because it was given up before.
update entity_outcomes
set number = given.number, text = given.text, record_time = $8, client = $9, reach = greatest(reach, $10),
    state = 'waiting', next_try = $8
from unnest($2::text[], $3::int[], $4::text[], $5::timestamptz[], $6::float8[], $7::text[])
    as given (entity_id, row_number, kind, observe_time, number, text)
where (entity_outcomes.model, entity_outcomes.entity_id, entity_outcomes.kind, entity_outcomes.row_number,
       entity_outcomes.observe_time) = ($1, given.entity_id, given.kind, given.row_number, given.observe_time);

-- name: outcomes_of
select row_number, kind, number, text, observe_time, record_time, client, replaced
from outcomes where model = $1 and prediction_id = $2 order by kind, row_number limit $3;

-- name: outcomes_among
-- Of predictions of a file; ids as text, which is how the log has them.
select prediction_id::text as prediction_id, row_number, kind, number, text
from outcomes where model = $1 and prediction_id = any ($2::text[]::uuid[]);

-- name: any_outcomes
-- Whether there is any between two ids: most hours of most models have none.
select exists (select from outcomes where model = $1 and prediction_id >= $2 and prediction_id < $3);

-- name: join_entity_outcomes
-- Those that nobody else has joined meanwhile, as they are now.
update entity_outcomes set state = 'joined', prediction_id = given.prediction_id
from unnest($2::text[], $3::int[], $4::text[], $5::timestamptz[], $6::uuid[])
    as given (entity_id, row_number, kind, observe_time, prediction_id)
where (entity_outcomes.model, entity_outcomes.entity_id, entity_outcomes.kind, entity_outcomes.row_number,
       entity_outcomes.observe_time) = ($1, given.entity_id, given.kind, given.row_number, given.observe_time)
  and state = 'waiting'
returning entity_outcomes.prediction_id, entity_outcomes.row_number, entity_outcomes.kind, entity_outcomes.observe_time,
    number, text, record_time, client;

-- name: give_up_entity_outcomes
update entity_outcomes set state = 'given_up'
from unnest($2::text[], $3::int[], $4::text[], $5::timestamptz[])
    as given (entity_id, row_number, kind, observe_time)
where (entity_outcomes.model, entity_outcomes.entity_id, entity_outcomes.kind, entity_outcomes.row_number,
       entity_outcomes.observe_time) = ($1, given.entity_id, given.kind, given.row_number, given.observe_time)
  and state = 'waiting'
returning 1;

-- name: take_arrivals
-- Each is taken once, by whoever deletes it. Its fact is the one that is recorded now.
with taken as (delete from outcome_arrivals where id = any ($1::bigint[]) returning *)
select taken.id, taken.first, taken.kind, outcomes.number, outcomes.text
from taken join outcomes using (model, prediction_id, row_number, kind)
order by taken.id;

-- name: waiting
select (select count(*) from outcome_arrivals) as arrivals,
       (select count(*) from entity_outcomes where state = 'waiting') as entities;

-- name: expire_outcomes
-- In steps: what is old is a range of the key only within a model.
delete from outcomes where ctid in (
    select ctid from outcomes where prediction_id < $1 limit $2
);

-- name: expire_entity_outcomes
delete from entity_outcomes where ctid in (
    select ctid from entity_outcomes where observe_time < $1 limit $2
);

-- name: touch_hours
insert into touched_hours (model, hour, next_try) select $1, unnest($2::timestamptz[]), $3
on conflict (model, hour) do update set touches = touched_hours.touches + 1;
