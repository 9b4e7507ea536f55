-- Every query of counters, by name. A query ends where the next one begins.

-- name: lock_process
-- The process's row, made when it is new and locked until the transaction ends.
insert into counter_processes (process, data_plane) values ($1, $2)
on conflict (process) do update set seen_time = now(), data_plane = excluded.data_plane
returning number, series, forgotten;

-- name: kept_series
select key, sequence, minute, total, base from counter_series where process = $1 and key = any($2::bytea[]);

-- name: open_series
-- New series, and those whose minute has changed: everything is written.
insert into counter_series (process, key, model, version, variant, served_from, code, layer, rung,
                            sequence, minute, total, base)
select $1, key, model, version, variant, served_from, code, layer, rung, $2, $3, total, base
from unnest($4::bytea[], $5::text[], $6::text[], $7::text[], $8::smallint[], $9::smallint[], $10::text[], $11::text[],
            $12::bytea[], $13::bytea[])
     as told (key, model, version, variant, served_from, code, layer, rung, total, base)
on conflict (process, key)
do update set sequence = excluded.sequence, minute = excluded.minute, total = excluded.total, base = excluded.base;

-- name: go_on_with_series
-- Within the same minute: the base stays.
update counter_series set sequence = $2, total = told.total
from unnest($3::bytea[], $4::bytea[]) as told (key, total)
where counter_series.process = $1 and counter_series.key = told.key;

-- name: count_series
update counter_processes set series = series + $2 where number = $1;

-- name: put_minutes
insert into counter_minutes (start, model, version, variant, served_from, code, layer, rung, tally)
select * from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::smallint[],
                     $7::text[], $8::text[], $9::bytea[]);

-- name: kept_drops
select reason, sequence, total from counter_drops where process = $1;

-- name: keep_drops
insert into counter_drops (process, reason, sequence, total)
select $1, told.reason, $2, told.total from unnest($3::text[], $4::bigint[]) as told (reason, total)
on conflict (process, reason) do update set sequence = excluded.sequence, total = excluded.total;

-- name: put_drops
-- In the order of the reasons, so that no two processes wait for each other.
insert into counter_drop_minutes (start, reason, count)
select $1, told.reason, told.count from unnest($2::text[], $3::bigint[]) as told (reason, count) order by told.reason
on conflict (start, reason) do update set count = counter_drop_minutes.count + excluded.count;
