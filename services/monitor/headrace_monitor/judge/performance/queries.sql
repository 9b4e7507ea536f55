-- Every query about performance, by name. A query ends where the next one begins.

-- name: calibration
select calibration from calibrations where model = $1 and version = $2;

-- name: put_calibration
-- Unless what is there is of a later hour: labels of old hours come late.
insert into calibrations values ($1, $2, $3, $4, $5, $6)
on conflict (model, version) do update set calibration = $3, rows = $4, update_time = $5, hour = $6
where calibrations.hour is null or calibrations.hour <= $6;

-- name: put_first_calibration
insert into calibrations values ($1, $2, $3, $4, $5) on conflict do nothing;

-- name: hours
select * from performance_hours where model = $1 and hour >= $2 and hour < $3 order by hour, version, variant;

-- name: mark_new_hours
-- Hours that were evaluated before are marked by their new outcomes instead.
insert into touched_hours (model, hour, next_try)
select distinct model, hour, $3::timestamptz from log_files
where not replaced and hour > $1 and hour <= $2
    and not exists (select from looked_hours where (looked_hours.model, looked_hours.hour) = (log_files.model, log_files.hour))
on conflict do nothing;

-- name: clear_hour
delete from performance_hours where model = $1 and hour = $2;

-- name: put_hour
insert into performance_hours values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (model, hour, version, variant) do update
set predictions = $5, labelled = $6, measures = $7, slices = $8, update_time = $9, rows = $10, scores = $11;

-- name: finish_hour
with looked as (insert into looked_hours select $1, $2::timestamptz where $4 on conflict do nothing)
delete from touched_hours where model = $1 and hour = $2 and touches = $3;

-- name: expire_hours
with looked as (delete from looked_hours where hour < $1),
     stale as (delete from touched_hours where hour < $1)
delete from performance_hours where hour < $1;

-- name: open_watch
-- Made where it is missing, and locked either way: one replica at a time feeds a detector.
insert into error_watches (model, version, state, update_time) values ($1, $2, $3, $4)
on conflict (model, version) do update set model = excluded.model
returning state;

-- name: watches
select version, state, update_time from error_watches where model = $1;

-- name: save_watch
update error_watches set state = $3, update_time = $4 where model = $1 and version = $2;
