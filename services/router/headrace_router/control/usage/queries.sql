-- Every query about usage and budgets, by name. A query ends where the next one begins.

-- name: number_report
-- No row where the report was taken before. Whoever else takes one of the process waits.
insert into usage_processes as known (process, sequence) values ($1, $2)
on conflict (process) do update set sequence = excluded.sequence, seen_time = now()
where known.sequence < excluded.sequence
returning sequence;

-- name: add_presence
-- To the hours that it is of: after an outage of the control plane a report is of more than one. Of more than a month's, to the
-- last ones.
insert into usage_pools as known (hour, pool, present_us, busy_us)
select hour, $1, round($2::bigint * share), round($3::bigint * share) from (
    select hour, extract(epoch from least(now(), hour + interval '1 hour') - greatest(began, hour))
        / extract(epoch from now() - began) as share
    from (select now() - least(greatest($2::bigint, 1), 2592000000000) * interval '1 microsecond' as began) as report,
        generate_series(date_trunc('hour', began, 'UTC'), now(), interval '1 hour') as hour
) as hours order by hour
on conflict (hour, pool)
do update set present_us = known.present_us + excluded.present_us, busy_us = known.busy_us + excluded.busy_us;

-- name: add_uses
-- In one order, so that no two processes wait for each other. Of an hour that has all rows that it may have, clients that
-- are not among them are counted together.
with this as (select date_trunc('hour', now(), 'UTC') as hour),
full_hour as (
    select count(*) >= $9 as is_full from (select from usage_hours where hour = (select hour from this) limit $9) as there
),
named as (
    select model, version, priority, requests, rows, compute_us, case
        when not (select is_full from full_hour) or exists (
            select from usage_hours as there where (there.hour, there.pool, there.model, there.version, there.client,
                there.priority) = ((select hour from this), $1, used.model, used.version, used.client, used.priority)
        ) then client else $10 end as client
    from unnest($2::text[], $3::text[], $4::text[], $5::smallint[], $6::bigint[], $7::bigint[], $8::bigint[])
        as used (model, version, client, priority, requests, rows, compute_us)
)
insert into usage_hours as known (hour, pool, model, version, client, priority, requests, rows, compute_us)
select (select hour from this), $1, model, version, client, priority, sum(requests)::bigint, sum(rows)::bigint,
       sum(compute_us)::bigint
from named group by model, version, client, priority order by model, version, client, priority
on conflict (hour, pool, model, version, client, priority)
do update set requests = known.requests + excluded.requests, rows = known.rows + excluded.rows,
              compute_us = known.compute_us + excluded.compute_us;

-- name: used_models
select distinct model from usage_hours where hour >= $1 and hour < $2;

-- name: used
select client, pool, model, version, priority, sum(requests)::bigint as requests, sum(rows)::bigint as rows,
       sum(compute_us)::bigint as compute_us, (sum(sum(compute_us)) over ())::bigint as total_us
from usage_hours
where hour >= $1 and hour < $2 and model = any($3::text[]) and ($4 = '' or client = $4)
group by client, pool, model, version, priority
order by sum(compute_us) desc, client, pool, model, version, priority limit $5;

-- name: used_versions
-- Of each pool the versions that executed the most, with what all of them executed there.
select pool, model, version, sum(compute_us)::bigint as compute_us,
       (sum(sum(compute_us)) over (partition by pool))::bigint as pool_us
from usage_hours where hour >= $1 and hour < $2
group by pool, model, version order by sum(compute_us) desc, pool, model, version limit $3;

-- name: presence
select hour, pool, present_us, busy_us from usage_pools where hour >= $1 and hour < $2 order by pool, hour;

-- name: spent
-- Of those who have used the most. Copies for shadows count for no client: no caller asked for them.
select client, model, sum(compute_us)::bigint as compute_us from usage_hours
where hour >= $1 and hour < $2 and priority <> 2 group by client, model order by compute_us desc limit $3;

-- name: budgets
select * from budgets order by name;

-- name: budget
select * from budgets where name = $1 for update;

-- name: count_other_budgets
select count(*) from budgets where name <> $1;

-- name: put_budget
insert into budgets (name, client, model, period, compute_us, refuse_above_us) values ($1, $2, $3, $4, $5, $6)
on conflict (name) do update set (client, model, period, compute_us, refuse_above_us)
    = (excluded.client, excluded.model, excluded.period, excluded.compute_us, excluded.refuse_above_us);

-- name: delete_budget
delete from budgets where name = $1;

-- name: expire_hours
delete from usage_hours where ctid = any(array(
    select ctid from usage_hours where hour < now() - $1::interval limit $2));

-- name: expire_pools
delete from usage_pools where ctid = any(array(
    select ctid from usage_pools where hour < now() - $1::interval limit $2));

-- name: expire_processes
delete from usage_processes where ctid = any(array(
    select ctid from usage_processes where seen_time < now() - $1::interval limit $2));

-- name: number_page
-- No row where the page was taken before. Another writer waits.
insert into usage_taken_over as known (page) values ($1)
on conflict (only_row) do update set page = excluded.page where known.page < excluded.page
returning page;

-- name: take_over_uses
insert into usage_hours as known (hour, pool, model, version, client, priority, requests, rows, compute_us)
select * from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::bigint[],
                     $8::bigint[], $9::bigint[])
on conflict (hour, pool, model, version, client, priority)
do update set requests = known.requests + excluded.requests, rows = known.rows + excluded.rows,
              compute_us = known.compute_us + excluded.compute_us;

-- name: take_over_pools
insert into usage_pools as known (hour, pool, present_us, busy_us)
select * from unnest($1::timestamptz[], $2::text[], $3::bigint[], $4::bigint[])
on conflict (hour, pool)
do update set present_us = known.present_us + excluded.present_us, busy_us = known.busy_us + excluded.busy_us;

-- name: take_over_processes
insert into usage_processes as known (process, sequence) select * from unnest($1::text[], $2::bigint[])
on conflict (process) do update set sequence = greatest(known.sequence, excluded.sequence);

-- name: take_over_budget
insert into budgets (name, client, model, period, compute_us, refuse_above_us) values ($1, $2, $3, $4, $5, $6)
on conflict (name) do nothing;

-- name: take_over_rate_limit
insert into rate_limits (name, client, model, requests_per_second, burst, shadow_mode, outage)
values ($1, $2, $3, $4, $5, $6, $7) on conflict (name) do nothing;
