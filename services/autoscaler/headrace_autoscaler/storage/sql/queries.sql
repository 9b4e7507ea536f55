-- Every query of the autoscaler, by name. A query ends where the next one begins.

-- name: position
select incarnation, sequence from store;

-- name: next_sequences
-- Whoever changes pools holds the row to the end of the transaction, so that changes become visible in their order.
update store set sequence = sequence + $1 returning sequence;

-- name: changed_since
select pool, sequence from pools where sequence > $1 order by sequence limit $2;

-- name: now
select clock_timestamp();

-- name: pools
-- Those that have a policy.
select p.pool, p.pause_time, p.pause_reason, p.pause_client, p.memory, p.acting, p.decision, p.problems,
    o.revision, o.policy, o.create_time, o.client
from pools p join policies o on o.revision = p.revision
where p.pool > $1 order by p.pool limit $2;

-- name: pool
select p.pool, p.pause_time, p.pause_reason, p.pause_client, p.memory, p.acting, p.decision, p.problems,
    o.revision, o.policy, o.create_time, o.client
from pools p join policies o on o.revision = p.revision
where p.pool = $1;

-- name: in_force
-- What may be new to a leader that keeps the rest in memory.
select pool, revision, pause_time is not null as paused, decision, coalesce(awaited_until > now(), false) as awaited
from pools where revision is not null;

-- name: await_pool
update pools set awaited_until = now() + $2::interval where pool = $1 and revision is not null and pause_time is null
returning pool;

-- name: starts_of
select duration_s from starts where pool = $1 order by ready_time desc limit $2;

-- name: lock_pool
select pool, revision from pools where pool = $1 for update;

-- name: add_policy
insert into policies (pool, policy, client) values ($1, $2::json, $3) returning revision, create_time;

-- name: policy
select pool, revision, policy, create_time, client from policies where revision = $1;

-- name: put_pool
insert into pools (pool, revision, sequence) values ($1, $2, $3)
on conflict (pool) do update set revision = $2, sequence = $3;

-- name: count_pools
select count(*) from pools where revision is not null;

-- name: drop_policy
-- A pool that gets a policy again begins anew.
update pools set revision = null, memory = null, acting = null, decision = null, problems = '{}', pause_time = null,
    pause_reason = '', pause_client = '', sequence = $2
where pool = $1;

-- name: pause
update pools set pause_time = coalesce(pause_time, now()), pause_reason = $2, pause_client = $3, sequence = $4
where pool = $1 and revision is not null returning pool;

-- name: resume
update pools set pause_time = null, pause_reason = '', pause_client = '', sequence = $2
where pool = $1 and revision is not null returning pool;

-- name: add_decisions
insert into decisions (pool, create_time, revision, desired, changed, memory, observation, decision, outcome, detail,
    outcome_time)
select pool, create_time, revision, desired, changed, memory::json, observation::json, decision::json, outcome, detail,
    create_time
from unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::int[], $5::bool[], $6::text[], $7::text[], $8::text[],
    $9::smallint[], $10::text[])
    as made (pool, create_time, revision, desired, changed, memory, observation, decision, outcome, detail)
returning pool, number;

-- name: save_pools
-- Only under the policy that decided: another one begins with what is in force then.
update pools set memory = made.memory::json, acting = made.acting::json, decision = made.decision,
    problems = array(select json_array_elements_text(made.problems::json)), sequence = made.sequence
from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[])
    as made (pool, memory, acting, decision, problems, sequence, revision)
where pools.pool = made.pool and pools.revision = made.revision;

-- name: save_acting
update pools set acting = $2::json, sequence = $3 where pool = $1 and revision is not null;

-- name: set_outcomes
update decisions set outcome = made.outcome, detail = made.detail, outcome_time = $4
from unnest($1::bigint[], $2::smallint[], $3::text[]) as made (number, outcome, detail)
where decisions.number = made.number;

-- name: decision
select number, pool, create_time, revision, desired, changed, memory, observation, decision, outcome, detail,
    outcome_time
from decisions where pool = $1 and number = $2;

-- name: latest_decision
select number, pool, create_time, revision, desired, changed, memory, observation, decision, outcome, detail,
    outcome_time
from decisions where pool = $1 order by number desc limit 1;

-- name: decisions
select number, pool, create_time, revision, desired, changed, null::json as memory, observation, decision, outcome,
    detail, outcome_time
from decisions
where pool = $1 and number < $2 and (changed or not $3)
    and ($4::timestamptz is null or create_time >= $4) and ($5::timestamptz is null or create_time < $5)
order by number desc limit $6;

-- name: recorded
-- In the order in which they were made, for a replay.
select number, pool, create_time, revision, desired, changed, memory, observation, decision, outcome, detail,
    outcome_time
from decisions where pool = $1 and number > $2 and create_time >= $3 and create_time < $4 order by number limit $5;

-- name: add_starts
insert into starts (pool, process, ready_time, duration_s)
select * from unnest($1::text[], $2::text[], $3::timestamptz[], $4::double precision[])
on conflict do nothing;

-- name: starts
-- The last ones of each pool.
select pool, duration_s from (
    select pool, duration_s, row_number() over (partition by pool order by ready_time desc) as at from starts
) as numbered where at <= $1;

-- name: add_minutes
insert into demand_minutes as kept (pool, minute, metric, peak, mean, ready, samples)
select * from unnest($1::text[], $2::timestamptz[], $3::text[], $4::double precision[], $5::double precision[],
    $6::double precision[], $7::int[])
on conflict (pool, minute, metric) do update set
    peak = greatest(kept.peak, excluded.peak),
    mean = (kept.mean * kept.samples + excluded.mean * excluded.samples) / (kept.samples + excluded.samples),
    ready = (kept.ready * kept.samples + excluded.ready * excluded.samples) / (kept.samples + excluded.samples),
    samples = kept.samples + excluded.samples;

-- name: seasonal_peaks
-- Of each earlier day, the oldest first; null for a day on which nothing is known of this time.
select max(kept.peak) as peak
from generate_series(1, $4::int) as day
left join demand_minutes kept on kept.pool = $1 and kept.metric = $2
    and kept.minute >= date_trunc('minute', $3::timestamptz) - day * interval '24 hours'
    and kept.minute < $3::timestamptz - day * interval '24 hours' + $5::interval
group by day order by day desc;

-- name: earlier_hours
-- Of each of the last hours, the oldest first: the peak around this minute and the mean of the hour before; null where
-- nothing is known.
select max(kept.peak) filter (where kept.minute >= hours.at) as peak,
    avg(kept.mean) filter (where kept.minute < hours.at) as mean
from (
    select ago * interval '1 hour' as ago, date_trunc('minute', $3::timestamptz) - ago * interval '1 hour' as at
    from generate_series(1, $4::int) as ago
) as hours
left join demand_minutes kept on kept.pool = $1 and kept.metric = $2
    and kept.minute >= hours.at - interval '1 hour' and kept.minute < $3::timestamptz - hours.ago + $5::interval
group by hours.ago order by hours.ago desc;

-- name: likeness
-- How alike the last two hours and those an hour before are; null where less than four minutes in five are known.
select case when count(*) >= 96 then corr(latest.peak, before.peak) end
from demand_minutes latest
join demand_minutes before using (pool, metric)
where pool = $1 and metric = $2 and before.minute = latest.minute - interval '1 hour'
    and latest.minute >= date_trunc('minute', $3::timestamptz) - interval '2 hours'
    and latest.minute < date_trunc('minute', $3::timestamptz);

-- name: history
select minute, peak, mean, ready, samples from demand_minutes
where pool = $1 and metric = $2 and minute >= $3 and minute < $4 order by minute;

-- name: expire_decisions
delete from decisions where number in (
    select number from decisions
    where create_time < $2 or (create_time < $1 and not changed) order by number limit 5000
);

-- name: expire_history
delete from demand_minutes where minute < $1;

-- name: expire_starts
delete from starts where ready_time < $1;
