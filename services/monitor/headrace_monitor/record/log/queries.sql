-- name: files
select * from log_files
where model = $1 and ($2::text is null or version = $2) and not replaced
    and hour > $3::timestamptz - interval '1 hour' and hour < $4 and max_answer_time >= $3 and min_answer_time < $4
order by hour, id;

-- name: derivable
select * from log_files where id > $1 and not merged order by id limit $2;

-- name: position
-- How far the log and the outcomes have come. Transactions below `changes` have ended, so who reads what has this number
-- and greater ones misses none. Numbers of another database say nothing here, nor those of a backup that took its place.
select (select incarnation from store)::text || '/' || (select system_identifier from pg_control_system()) || '/'
        || (select oid from pg_database where datname = current_database()) as database,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint as changes,
    coalesce((select max(id) from log_files), 0) as files, now() as time;

-- name: new_files
select * from log_files where model = $1 and id > $2 and not merged order by id;

-- name: models
select distinct model from log_files where not replaced order by model;

-- name: see_process
-- The row stays locked: batches of a process, and the ledger's look at it, come one after the other.
insert into log_processes (process, data_plane, highest) values ($1, $2, $3)
on conflict (process) do update
    set highest = greatest(log_processes.highest, excluded.highest), last_time = now(), data_plane = excluded.data_plane
returning through;

-- name: other_processes
-- Unless it is known already: how many others are.
select count(*) filter (where data_plane = $2) as of_data_plane, count(*) as in_all from log_processes
having not exists (select from log_processes where process = $1);

-- name: take_lost
delete from lost_batches where process = $1 and $2 between first and last returning first, last, find_time, data_plane;

-- name: put_lost
insert into lost_batches (process, first, last, data_plane, find_time)
select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::timestamptz[]);

-- name: put_batch
insert into log_batches (process, sequence, object_key, size_bytes, predictions, store_time, retry_time)
values ($1, $2, $3, $4, $5, $6, $6) on conflict do nothing;

-- name: holds_object
select exists (select from log_batches where process = $1 and sequence = $2 and compact_time is null);

-- name: behind
select process from log_processes where highest > through and process > $1 order by process limit $2;

-- name: lock_process
select process, through, data_plane from log_processes where process = $1 for update;

-- name: present
select sequence, store_time from log_batches where process = $1 and sequence > $2 order by sequence limit $3;

-- name: set_through
update log_processes set through = $2 where process = $1;

-- name: expire_batches
delete from log_batches using log_processes
where log_batches.removed and log_processes.process = log_batches.process
    and log_batches.sequence <= log_processes.through;

-- name: expire_processes
-- Nothing comes of them any more: all would be too old, or another has taken their place since.
delete from log_processes as gone
where not exists (select from log_batches where log_batches.process = gone.process) and (
    last_time < $1
    or last_time < $2 and exists (
        select from log_processes as later
        where later.data_plane = gone.data_plane and later.first_time > gone.last_time and later.process <> gone.process));

-- name: expire_lost
delete from lost_batches where find_time < $1;

-- name: due_batches
select process, sequence, number, object_key, waiting_groups, attempts, store_time from log_batches
where compact_time is null and retry_time <= $1 order by number limit $2;

-- name: waiting
select count(*) as batches, min(store_time) as oldest from log_batches where compact_time is null;

-- name: save_results
-- Whoever looked at a batch meanwhile has counted it up: then nothing is changed, and the caller finds less than it gave.
update log_batches set
    waiting_groups = case when looked.groups = '' then null else string_to_array(looked.groups, ',')::int[] end,
    attempts = log_batches.attempts + 1, retry_time = looked.retry_time, damage = looked.damage,
    compact_time = case when looked.groups = '' then $6::timestamptz end
from unnest($1::bigint[], $2::int[], $3::text[], $4::timestamptz[], $5::text[])
    as looked(number, attempts, groups, retry_time, damage)
where log_batches.number = looked.number and log_batches.attempts = looked.attempts and compact_time is null;

-- name: to_remove
select number, object_key from log_batches where compact_time is not null and not removed order by number limit $1;

-- name: removed
update log_batches set removed = true where number = any($1::bigint[]);

-- name: known_batches
select process, sequence from log_batches join unnest($1::uuid[], $2::bigint[]) as asked(process, sequence)
    using (process, sequence)
where not removed;

-- name: begin_writing
insert into log_leftovers (object_key, remove_time) select key, $2 from unnest($1::text[]) as key;

-- name: remove_unlisted
insert into log_leftovers (object_key, remove_time)
select key, $2 from unnest($1::text[]) as key
where not exists (select from log_files where object_key = key)
on conflict do nothing;

-- name: written
delete from log_leftovers where object_key = any($1::text[]) and not claimed;

-- name: put_files
insert into log_files (model, version, hour, object_key, size_bytes, row_count, prediction_count, min_answer_time,
    max_answer_time, merged, compact_time)
select *, $10, $11 from unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::bigint[], $6::bigint[],
    $7::bigint[], $8::timestamptz[], $9::timestamptz[]);

-- name: claim_leftovers
update log_leftovers set claimed = true
where object_key in (select object_key from log_leftovers where remove_time <= $1 order by remove_time limit $2)
returning object_key;

-- name: expire_leftovers
delete from log_leftovers where object_key = any($1::text[]);

-- name: mergeable
-- Of the partition that waits longest: files that are not large, and that everybody who derives has had time to take.
select * from log_files
where not replaced and size_bytes < $2 and compact_time < $1 and (model, version, hour) = (
    select model, version, hour from log_files where not replaced and size_bytes < $2 and compact_time < $1
    group by model, version, hour having count(*) > 1 order by min(compact_time) limit 1)
order by id limit $3;

-- name: replace_files
update log_files set replaced = true, replace_time = $2 where id = any($1::bigint[]) and not replaced;

-- name: drop_files
with dropped as (
    delete from log_files where id in (
        select id from log_files where replaced and replace_time < $1 or hour < $2 order by id limit $3)
    returning object_key)
insert into log_leftovers (object_key, remove_time) select object_key, $4 from dropped;
