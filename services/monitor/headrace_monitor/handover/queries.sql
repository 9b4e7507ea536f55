-- What a monitor of 0.1.0 has stored and the router has now. A query ends where the next one begins.

-- name: state
select exists (select from usage_handed_over) as is_over, exists (select from rate_limits_handed_over) as limits_are_over;

-- name: budgets
select * from budgets order by name;

-- name: rate_limits
select * from rate_limits order by name;

-- name: processes
select process, sequence from usage_processes where process > $1 order by process limit $2;

-- name: next_hour
select least((select min(hour) from usage_hours where hour > $1), (select min(hour) from usage_pools where hour > $1));

-- name: hour
select * from usage_hours where hour = $1 order by pool, model, version, client, priority;

-- name: pools
select * from usage_pools where hour = $1 order by pool;

-- name: handed_over
insert into usage_handed_over default values on conflict do nothing;
