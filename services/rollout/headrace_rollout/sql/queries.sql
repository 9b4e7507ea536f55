-- Every query of the rollouts, by name. A query ends where the next one begins.

-- name: position
select incarnation, sequence from store;

-- name: advance
-- Whoever else changes a rollout waits here until this transaction ends.
update store set sequence = sequence + 1 returning sequence;

-- name: wake
select pg_notify('rollouts', '');

-- name: wake_leader
select pg_notify('rollout_requests', '');

-- name: repeated
select * from rollouts where client = $1 and request_id = $2 and request_id <> '';

-- name: running_of_model
select id from rollouts where model = $1 and running;

-- name: next_id
select nextval(pg_get_serial_sequence('rollouts', 'id'));

-- name: insert
insert into rollouts (id, model, running, document, revision, sequence, client, request_id, fingerprint)
overriding system value values ($1, $2, true, $3, 1, $4, $5, $6, $7);

-- name: update
-- Nothing when somebody else changed it since.
update rollouts set (running, document, revision, sequence) = ($3, $4, revision + 1, $5)
where id = $1 and revision = $2 returning revision;

-- name: released
update rollouts set held = false where id = $1;

-- name: begin_route_change
-- Nothing while another call, or the loop that gives routes back, is at it. What was before the first try stays.
insert into route_changes as present (experiment, before, claims, claimed_until)
values ($1, $2, 1, now() + $3::interval)
on conflict (experiment) do update set claims = present.claims + 1, claimed_until = now() + $3::interval
where present.claimed_until is null or present.claimed_until <= now()
returning claims;

-- name: end_route_change
delete from route_changes where experiment = $1 and claims = $2;

-- name: undo_route_change
update route_changes set claimed_until = null where experiment = $1 and claims = $2;

-- name: insert_event
insert into rollout_events (rollout, number, create_time, type, reason, client, document)
select $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6 from rollout_events where rollout = $1
returning number;

-- name: rollout
-- One clock for all processes: that of the database.
select *, clock_timestamp() as read_time from rollouts where id = $1;

-- name: now
select clock_timestamp();

-- name: running
select * from rollouts where running order by id;

-- name: rollouts
select * from rollouts where id < $1 and ($2 = '' or model = $2) and (running or not $3) order by id desc limit $4;

-- name: changed_since
select * from rollouts where sequence > $1 order by sequence limit $2;

-- name: events
select * from rollout_events where rollout = $1 and number < $2 order by number desc limit $3;

-- name: template
select document from templates where model = $1;

-- name: put_template
insert into templates (model, document) values ($1, $2) on conflict (model) do update set document = excluded.document;

-- name: delete_template
delete from templates where model = $1;

-- name: history_lines
select count(*) from rollout_events;

-- name: history_misfits
-- Of each rollout the first event whose digest is not that of itself and of the event before it. The digest is written out
-- as `event_digest` has it: whoever owns the database can make that function say anything.
select distinct on (rollout) rollout::text as subject, number from (
    select rollout, number, chain, row_number() over events as place, pg_catalog.sha256(
        coalesce(lag(chain) over events, ''::bytea) || pg_catalog.convert_to(pg_catalog.jsonb_build_array(
            rollout, number, (extract(epoch from create_time) * 1000000)::bigint, type, reason, client, document
        )::text, 'UTF8')) as right_one
    from rollout_events window events as (partition by rollout order by number)) as found
where chain is distinct from right_one or number <> place order by rollout, number;

-- name: history_heads
select distinct on (rollout) rollout::text as subject, number, coalesce(chain, ''::bytea) as chain
from rollout_events order by rollout, number desc;

-- name: history_chain
select chain from rollout_events where rollout::text = $1 and number = $2;
