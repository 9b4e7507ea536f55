-- Every query of the scorer, by name. A query ends where the next one begins.

-- name: position
select incarnation, sequence from store;

-- name: advance
-- Whoever else changes a job waits here until this transaction ends.
update store set sequence = sequence + 1 returning sequence;

-- name: wake
select pg_notify('scoring_jobs', '');

-- name: repeated
select * from scoring_jobs where client = $1 and request_id = $2 and request_id <> '';

-- name: next_id
select nextval(pg_get_serial_sequence('scoring_jobs', 'id'));

-- name: now
select clock_timestamp();

-- name: count_not_over
select count(*) from scoring_jobs where state not in ('succeeded', 'failed', 'cancelled');

-- name: insert
insert into scoring_jobs (id, model, state, document, revision, sequence, client, request_id, fingerprint)
overriding system value values ($1, $2, $3, $4, 1, $5, $6, $7, $8);

-- name: update
-- Nothing when somebody else changed it since. One that is tried again holds its version again.
update scoring_jobs set (state, document, revision, sequence) = ($3, $4, revision + 1, $5),
    held = held or $3 not in ('succeeded', 'failed', 'cancelled')
where id = $1 and revision = $2 returning revision;

-- name: released
-- Not of a job that is tried again since.
update scoring_jobs set (held, claims, claimed_until) = (false, 0, null) where id = $1 and revision = $2;

-- name: insert_event
insert into scoring_job_events (job, number, create_time, type, reason, client)
select $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5 from scoring_job_events where job = $1 returning number;

-- name: job
-- One clock for all processes: that of the database.
select *, clock_timestamp() as read_time from scoring_jobs where id = $1;

-- name: not_over
select * from scoring_jobs where state not in ('succeeded', 'failed', 'cancelled') order by id;

-- name: jobs
select * from scoring_jobs
where id < $1 and ($2 = '' or model = $2) and (state not in ('succeeded', 'failed', 'cancelled') or not $3)
order by id desc limit $4;

-- name: changed_since
select * from scoring_jobs where sequence > $1 order by sequence limit $2;

-- name: events
select * from scoring_job_events where job = $1 and number < $2 order by number desc limit $3;

-- name: delete_shards
delete from shards where job = $1;

-- name: insert_shards
insert into shards (job, number, document) select $1, number, document from unnest($2::int[], $3::jsonb[])
as given (number, document);

-- name: shards_to_do
select document from shards where job = $1 and result is null order by number;

-- name: settle_shard
-- Nothing when it is done already.
update shards set result = $3 where job = $1 and number = $2 and result is null returning number;

-- name: shards_done
select document, result from shards where job = $1 and result is not null order by number;

-- name: progress
select count(*) as shards, count(result) as shards_done,
    coalesce(sum((result->>'rows')::bigint), 0)::bigint as rows_done,
    coalesce(sum((result->>'rejected')::bigint), 0)::bigint as rows_rejected,
    coalesce(sum((result->>'cpu_s')::float8), 0)::float8 as cpu_s
from shards where job = $1;

-- name: expire_jobs
-- Of jobs that are published, those stay whose answers count, would count after a revert, or wait for somebody.
with old as (
    select id from scoring_jobs
    where state in ('succeeded', 'failed', 'cancelled')
        and (document->>'end_time')::timestamptz < clock_timestamp() - $1::interval
        and not exists (select from publications as own where job = id and (
            state in ('checking', 'held', 'publishing') or state = 'published' and (
                select count(*) from publications as later
                where later.state = 'published' and later.model = own.model
                    and later.version_digest = own.version_digest and later.publish_time > own.publish_time
            ) < 2
        ))
    order by id limit $2 for update skip locked
),
unpublished as (delete from publications where job in (select id from old)),
cut as (delete from shards where job in (select id from old)),
told as (delete from scoring_job_events where job in (select id from old)),
leased as (
    delete from leader_leases
    where name in (select kind || id from old, unnest(array['scoringJobs/', 'publications/']) as kinds (kind))
),
forgotten as (delete from scoring_jobs where id in (select id from old) returning id)
select count(*) from forgotten;
