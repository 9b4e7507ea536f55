-- Every query of the windows, by name.

-- name: newest_file
select coalesce(max(id), 0) as id from log_files;

-- name: candidates
-- Files that are in no window yet: those of the log's first generation behind $1 that nobody noted, and those that were
-- noted and that nobody is at.
with current as (
    select distinct on (model, version) number, model, version, since from drift_references
    order by model, version, number desc
), fresh as (
    select current.number as reference, log_files.id as file from current join log_files using (model, version)
    where log_files.id > $1 and log_files.hour >= current.since and not log_files.merged
      and not exists (select from window_files w where (w.reference, w.file) = (current.number, log_files.id))
), noted as (
    select reference, file from window_files join current on reference = current.number
    where waiting and (claimed_until is null or claimed_until <= now())
)
select due.reference, log_files.* from (select * from fresh union select * from noted) as due
join log_files on log_files.id = due.file
order by reference, file limit $2;

-- name: note
insert into window_files (reference, file, waiting) select $1, file, true from unnest($2::bigint[]) as file
on conflict do nothing;

-- name: lock_reference
-- Merging is done by one after the other.
select true from drift_references where number = $1 for no key update;

-- name: take
update window_files set waiting = false, claimed_until = null where reference = $1 and file = any($2::bigint[]);

-- name: window
select rows, predictions, summaries, unit_sums from windows
where reference = $1 and start_time = $2 and seconds = $3 and variant = $4 and source = $5 and probability = $6;

-- name: put_window
insert into windows (reference, start_time, seconds, variant, source, probability, rows, predictions, summaries, unit_sums)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (reference, start_time, seconds, variant, source, probability) do update
set rows = excluded.rows, predictions = excluded.predictions, summaries = excluded.summaries,
    unit_sums = excluded.unit_sums, units = null;

-- name: windows_between
-- A page, in the order of their keys, of windows that lie within a time.
select * from windows
where reference = $1 and start_time >= $2 and start_time + make_interval(secs => seconds) <= $3
  and (start_time, seconds, variant, source, probability) > ($4, $5::int, $6, $7, $8::double precision)
order by start_time, seconds, variant, source, probability limit $9;

-- name: waiting
-- Whether a file of a version that may have rows of a time is not in the windows yet.
select exists (
    select from log_files f left join window_files w on w.reference = $1 and w.file = f.id
    where f.model = $2 and f.version = $3 and f.hour >= $4 and f.hour < $5 and not f.replaced
      and ((w.file is null and not f.merged) or w.waiting)
) as waiting;

-- name: expire
delete from windows where start_time < $1;

-- name: expire_files
-- The ids of files that are gone never come back.
delete from window_files where ctid in (
    select w.ctid from window_files w where not exists (select from log_files where id = w.file) limit $1
);
