-- Every query of counters, by name. A query ends where the next one begins.

-- name: lock_process
-- The process's row, made when it is new and locked until the transaction ends. stopped: it has said so.
insert into counter_processes (process, data_plane, stopped) values ($1, $2, $3)
on conflict (process) do update set seen_time = now(), data_plane = excluded.data_plane, stopped = excluded.stopped
returning number, series, forgotten, xmax = 0 as new;

-- name: other_processes
select count(*) filter (where data_plane = $2) as of_data_plane, count(*) as in_all from counter_processes where number <> $1;

-- name: series_in_all
select coalesce(sum(series), 0)::bigint from counter_processes;

-- name: kept_series
select key, sequence, minute, total, base from counter_series where process = $1 and key = any($2::bytea[]);

-- name: open_series
-- New series, and those whose minute has changed: everything is written.
insert into counter_series (process, key, model, version, variant, served_from, code, layer, fallback_step, priority,
                            sequence, minute, total, base)
select $1, key, model, version, variant, served_from, code, layer, fallback_step, priority, $2, $3, total, base
from unnest($4::bytea[], $5::text[], $6::text[], $7::text[], $8::smallint[], $9::smallint[], $10::text[], $11::text[],
            $12::smallint[], $13::bytea[], $14::bytea[])
     as reported (key, model, version, variant, served_from, code, layer, fallback_step, priority, total, base)
on conflict (process, key)
do update set sequence = excluded.sequence, minute = excluded.minute, total = excluded.total, base = excluded.base;

-- name: update_series
-- Within the same minute: the base stays.
update counter_series set sequence = $2, total = reported.total
from unnest($3::bytea[], $4::bytea[]) as reported (key, total)
where counter_series.process = $1 and counter_series.key = reported.key;

-- name: count_series
update counter_processes set series = series + $2 where number = $1;

-- name: put_minutes
insert into counter_minutes (start, model, version, variant, served_from, code, layer, fallback_step, priority, tally)
select * from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::smallint[],
                     $7::text[], $8::text[], $9::smallint[], $10::bytea[]);

-- name: take_silent_series
-- Those of a process that changed longest ago, if that was before a minute, and are not in the report that is taken.
delete from counter_series where process = $1 and key = any(array(
    select key from counter_series where process = $1 and minute < $2 and key <> all($4::bytea[])
    order by sequence limit $3))
returning sequence, minute, model, version, variant, served_from, code, layer, fallback_step, priority, total, base;

-- name: kept_drops
select reason, sequence, total from counter_drops where process = $1;

-- name: keep_drops
insert into counter_drops (process, reason, sequence, total)
select $1, reported.reason, $2, reported.total from unnest($3::text[], $4::bigint[]) as reported (reason, total)
on conflict (process, reason) do update set sequence = excluded.sequence, total = excluded.total;

-- name: put_drops
-- In the order of the reasons, so that no two processes wait for each other.
insert into counter_drop_minutes (start, reason, count)
select $1, reported.reason, reported.count from unnest($2::text[], $3::bigint[]) as reported (reason, count) order by reported.reason
on conflict (start, reason) do update set count = counter_drop_minutes.count + excluded.count;

-- name: tallies_of_models
-- All that counts of some models in a time. base: of a minute that is open, to be taken off.
select start, model, version, variant, served_from, code, tally, null::bytea as base
from counter_minutes where model = any($1::text[]) and start >= $2 and start < $3
union all
select start, model, version, variant, served_from, code, tally, null
from counter_hours where model = any($1::text[]) and start >= $2 and start < $3
union all
select minute, model, version, variant, served_from, code, total, base
from counter_series where model = any($1::text[]) and minute >= $2 and minute < $3 and total <> base;

-- name: tallies
-- The same of all models.
select start, model, version, variant, served_from, code, tally, null::bytea as base
from counter_minutes where start >= $1 and start < $2
union all
select start, model, version, variant, served_from, code, tally, null
from counter_hours where start >= $1 and start < $2
union all
select minute, model, version, variant, served_from, code, total, base
from counter_series where minute >= $1 and minute < $2 and total <> base;

-- name: data_plane_starts
-- Processes that first reported in a time.
select data_plane, first_time from counter_processes where first_time >= $1 and first_time < $2 order by first_time limit $3;

-- name: tallies_since
-- All that counts from a minute on, with its minute. base: of a minute that is open, to be taken off.
select start, version, variant, served_from, code, priority, tally, null::bytea as base
from counter_minutes where model = $1 and start >= $2
union all
select minute, version, variant, served_from, code, priority, total, base
from counter_series where model = $1 and minute >= $2 and total <> base;

-- name: incarnation
select incarnation from store;

-- name: reporters
-- Data planes that are to be heard of: not those that said they stop, nor those whose place another process has taken.
select data_plane, process, seen_time, seen_time < now() - $2::interval as missing from counter_processes as one
where seen_time >= now() - $1::interval and not stopped and not exists (
    select from counter_processes as later
    where later.data_plane = one.data_plane and later.first_time > one.seen_time and later.number <> one.number)
order by data_plane, process;

-- name: units_of_process
select model, version, variant, hashes as erring_units, refused_hashes as refused_units, asked_hashes as units
from counter_erring_units where process = $1 and minute = $2;

-- name: put_units
insert into counter_erring_units (process, minute, model, version, variant, hashes, refused_hashes, asked_hashes)
select $1, $2, * from unnest($3::text[], $4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::bytea[])
on conflict (process, minute, model, version, variant)
do update set hashes = excluded.hashes, refused_hashes = excluded.refused_hashes, asked_hashes = excluded.asked_hashes;

-- name: units_since
select version, variant, hashes as erring_units, refused_hashes as refused_units, asked_hashes as units
from counter_erring_units where model = $1 and minute >= $2;

-- name: expire_erring_units
delete from counter_erring_units where ctid = any(array(
    select ctid from counter_erring_units where minute < now() - $1::interval limit $2));

-- name: tallies_of_minute
-- The same of one minute, of all models.
select model, version, code, tally, null::bytea as base from counter_minutes where start = $1
union all
select model, version, code, total, base from counter_series where minute = $1 and total <> base;

-- name: dropped
select coalesce(sum(count), 0)::bigint from counter_drop_minutes where start >= $1 and start < $2;

-- name: lost_batches
select coalesce(sum(last - first + 1), 0)::bigint from lost_batches where find_time >= $1 and find_time < $2;

-- name: take_old_minutes
-- Minutes of hours that ended so long ago, by the one clock that all replicas share. Each by one replica.
delete from counter_minutes where ctid = any(array(
    select ctid from counter_minutes where start < date_trunc('hour', now() - $1::interval)
    order by start limit $2 for update skip locked))
returning *;

-- name: put_hours
insert into counter_hours (start, model, version, variant, served_from, code, layer, fallback_step, priority, tally)
select * from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::smallint[],
                     $7::text[], $8::text[], $9::smallint[], $10::bytea[]);

-- name: expire_hours
delete from counter_hours where ctid = any(array(
    select ctid from counter_hours where start < now() - $1::interval limit $2));

-- name: expire_drops
delete from counter_drop_minutes where ctid = any(array(
    select ctid from counter_drop_minutes where start < now() - $1::interval limit $2));

-- name: expire_processes
-- Those that are not heard of any more and whose totals were forgotten long before, or whose place another has taken.
delete from counter_processes as gone
where forgotten and (
    seen_time < now() - $1::interval
    or seen_time < now() - $2::interval and exists (
        select from counter_processes as later
        where later.data_plane = gone.data_plane and later.first_time > gone.seen_time and later.number <> gone.number));

-- name: silent_process
-- One that was not heard of for so long, or for less and another has taken its place, and that nobody else is at. One that
-- came back after it was forgotten has series again.
select number from counter_processes as gone
where (not forgotten or series > 0) and seen_time < now() - $2::interval and (
    seen_time < now() - $1::interval
    or exists (
        select from counter_processes as later
        where later.data_plane = gone.data_plane and later.first_time > gone.seen_time and later.number <> gone.number))
order by seen_time limit 1 for update skip locked;

-- name: take_series
delete from counter_series where process = $1
returning sequence, minute, model, version, variant, served_from, code, layer, fallback_step, priority, total, base;

-- name: take_drops
delete from counter_drops where process = $1;

-- name: expire_process
update counter_processes set forgotten = true, series = 0 where number = $1;

-- name: begin_observing
insert into counter_observed (until) values ($1) on conflict do nothing;

-- name: observed
-- Locked: one of several replicas writes the observations of a minute.
select until from counter_observed for update;

-- name: set_observed
update counter_observed set until = $1;
