-- Every query about alerts, by name. A query ends where the next one begins.

-- name: put_observations
-- Those that are there already stay as they are. In one order, so that two writers wait for each other at most once.
insert into observations (model, version, signal, window_start, window_end, value, rows, severity, summary)
select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::float8[],
                     $7::bigint[], $8::smallint[], $9::text[])
on conflict (model, version, signal, window_end, window_start) do nothing;
