-- Every query of drift evaluations, by name. Their table has an older name.

-- name: due
-- Windows of the current references that ended before $2, and not before $3, and that were not evaluated yet.
with current as (
    select distinct on (model, version) number, model, version, freeze_time from drift_references
    order by model, version, number desc
)
select distinct current.number as reference, model, version, start_time,
       start_time + make_interval(secs => seconds) as end_time
from current join windows on windows.reference = current.number
where seconds = $1::int and start_time >= $3::timestamptz - make_interval(secs => $1::int)
  and start_time + make_interval(secs => seconds) <= $2
  and start_time + make_interval(secs => seconds) > greatest($3, freeze_time)
  and not exists (
      select from drift_looks l
      where (l.model, l.version) = (current.model, current.version)
        and l.start_time = windows.start_time and l.end_time = start_time + make_interval(secs => windows.seconds)
  )
order by end_time, model, version limit $4;

-- name: add
-- Nothing when there is one already.
insert into drift_looks (model, version, reference, start_time, end_time, severity, alarms, rows, report)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (model, version, start_time, end_time) do nothing
returning number;

-- name: page
-- The latest first; at least one, then as many as fit into $4 bytes.
select number, report from (
    select number, report, sum(length(report)) over (order by number desc) as size,
           row_number() over (order by number desc) as place
    from (
        select number, report from drift_looks
        where model = $1 and version = $2 and ($3::bigint is null or number < $3)
        order by number desc limit $5
    ) as asked
) as sized
where size <= $4 or place = 1
order by number desc;

-- name: any_before
select exists (select from drift_looks where model = $1 and version = $2 and number < $3) as more;

-- name: last_without_alarm
-- The last evaluation against the reference before a time that had no alarm and enough rows to say so.
select start_time, end_time from drift_looks
where model = $1 and version = $2 and reference = $3 and severity = 0 and rows >= $5 and end_time <= $4
order by end_time desc limit 1;

-- name: expire
delete from drift_looks where end_time < $1;

-- name: tolerances
select column_name, test, tolerance from drift_tolerances where model = $1 order by column_name, test;

-- name: put_tolerance
-- Nothing where the model has $5 others already.
insert into drift_tolerances as kept (model, column_name, test, tolerance)
select $1, $2, $3, $4
where (select count(*) from drift_tolerances where model = $1 and (column_name, test) <> ($2, $3)) < $5::int
on conflict (model, column_name, test) do update set tolerance = excluded.tolerance
returning true;

-- name: remove_tolerance
delete from drift_tolerances where model = $1 and column_name = $2 and test = $3;
