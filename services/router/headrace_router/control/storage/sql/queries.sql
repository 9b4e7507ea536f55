-- Every query of the control plane, by name.

-- name: store
select incarnation, newest_generation from store;

-- name: records_after
select revision, state from routes where revision > $1 order by revision;

-- name: entries_after
select number, model, told, salt, generation from generations where number > $1 order by number;

-- name: entries_in_use
-- What a data plane that has acknowledged $1 may still serve: the newest entry of each model up to there, and later ones.
(select distinct on (model) number, model, told, salt, generation from generations where number <= $1
 order by model, number desc)
union all
select number, model, told, salt, generation from generations where number > $1
order by number;

-- name: lock_route
select revision from routes where model = $1 for update;

-- name: next_revision
update store set newest_revision = newest_revision + 1 returning newest_revision;

-- name: next_revision_and_generation
update store set newest_revision = newest_revision + 1, newest_generation = newest_generation + 1
returning newest_revision, newest_generation;

-- name: insert_route
-- No row when another control plane inserted it first.
insert into routes (model, revision, state) values ($1, $2, $3) on conflict (model) do nothing returning revision;

-- name: update_route
update routes set revision = $2, state = $3, updated_at = now() where model = $1;

-- name: insert_change
insert into changes (id, model, kind, client, reason, change, begun_at) values ($1, $2, $3, $4, $5, $6, $7);

-- name: end_change
-- The change as it was at its end: news of the registry may have re-resolved it while it waited.
update changes set change = $2, outcome = $3, outcome_reason = $4, generation = $5, ended_at = $6 where id = $1;

-- name: insert_entry
insert into generations (number, model, told, salt, generation) values ($1, $2, $3, $4, $5);

-- name: insert_request
insert into requests (client, request_id, fingerprint, change, version) values ($1, $2, $3, $4, $5)
on conflict do nothing returning client;

-- name: change
select number, model, change, outcome, outcome_reason, generation, ended_at from changes where id = $1;

-- name: changes
select number, model, change, outcome, outcome_reason, generation, ended_at from changes
where model = $1 and ($3::bigint is null or number < $3)
order by number desc limit $2;

-- name: request
select fingerprint, change, version from requests where client = $1 and request_id = $2;

-- name: put_version
-- Everything of a version stays but its serving settings.
insert into versions (digest, model, version, resolved) values ($1, $2, $3, $4)
on conflict (digest) do update set resolved = excluded.resolved where versions.resolved <> excluded.resolved;

-- name: versions
select digest, model, version, resolved from versions where digest = any($1);

-- name: put_report
-- A process that reports from an address is the successor of whatever reported from there. Other control planes are woken
-- only by what a change can wait for.
with before as (
    select versions from reports where process = $1 and expires_at > now()
), replaced as (
    delete from reports where address = $3 and address <> '' and process <> $1
), written as (
    insert into reports (process, pool, address, versions, expires_at, occupancy)
    values ($1, $2, $3, $4, now() + $5, $6)
    on conflict (process) do update
    set pool = excluded.pool, address = excluded.address, versions = excluded.versions,
        expires_at = excluded.expires_at, occupancy = excluded.occupancy
)
select pg_notify('router_control', '') where (select versions from before) is distinct from $4;

-- name: reports
select process, pool, address, versions, occupancy, expires_at - now() as left from reports where expires_at > now();

-- name: acknowledge
-- Nothing is noted when the generation is one of another incarnation. Others are woken when it is news.
with ours as (
    select newest_generation from store where incarnation::text = $3
), before as (
    select acknowledged from data_planes where id = $1
), written as (
    insert into data_planes (id, acknowledged, first_seen, seen_at)
    select $1, $2, newest_generation, now() from ours
    on conflict (id) do update
    set acknowledged = greatest(data_planes.acknowledged, excluded.acknowledged), seen_at = now()
    returning id
), notified as materialized (
    select pg_notify('router_control', '') from written where coalesce((select acknowledged from before), -1) < $2
)
select exists (select from written) and (select count(*) from notified) >= 0 as noted;

-- name: data_planes
select id, acknowledged, first_seen, now() - seen_at as unseen from data_planes;

-- name: touch
insert into data_planes (id, acknowledged, first_seen, seen_at)
select id, 0, (select newest_generation from store), now() from unnest($1::text[]) as id
on conflict (id) do update set seen_at = now();

-- name: put_lease
-- Others are woken by a new lease; a longer one changes no demand.
with before as (
    select 1 from leases where pool = $1 and digest = $2 and holder = $3 and expires_at > now()
), written as (
    insert into leases (pool, digest, holder, model, version, expires_at) values ($1, $2, $3, $4, $5, now() + $6)
    on conflict (pool, digest, holder) do update set expires_at = excluded.expires_at
)
select pg_notify('router_control', '') where not exists (select from before);

-- name: drop_lease
with dropped as (delete from leases where pool = $1 and digest = $2 and holder = $3 returning 1)
select pg_notify('router_control', '') from dropped;

-- name: leases
select pool, digest, holder, model, version, expires_at - now() as left from leases where expires_at > now();

-- name: sweep_leases
delete from leases where expires_at < now() - $1::interval;

-- name: sweep_reports
delete from reports where expires_at < now() - $1::interval;

-- name: sweep_requests
delete from requests where created_at < now() - $1::interval;

-- name: sweep_data_planes
delete from data_planes where seen_at < now() - $1::interval;

-- name: renew_incarnation
-- The one before is remembered: its precomputed answers are to be removed.
with former as (
    insert into former_incarnations (incarnation) select incarnation from store on conflict do nothing
)
update store set incarnation = gen_random_uuid() returning incarnation;

-- name: expire_acknowledgements
-- They were given to the store before. Seen now: each data plane is named until it has acknowledged this store's generations.
update data_planes set acknowledged = 0, seen_at = now();

-- name: history_lines
select count(*) + count(*) filter (where outcome is not null) from changes;

-- name: history_misfits
-- Of each route the first line whose digest is not that of itself and of the line before it. Digests are written out as
-- `begin_digest` and `end_digest` have them: whoever owns the database can make those functions say anything.
with lines as (
    select model, begin_line as line, number, 0 as ended, begin_chain as chain, pg_catalog.jsonb_build_array(
        model, begin_line, 'begun', number, id, kind, client, reason,
        (extract(epoch from begun_at) * 1000000)::bigint) as content
    from changes
    union all
    select model, end_line, number, 1, end_chain, pg_catalog.jsonb_build_array(
        model, end_line, 'ended', number, id, change, outcome, outcome_reason, generation,
        (extract(epoch from ended_at) * 1000000)::bigint)
    from changes where (outcome, ended_at, end_line, end_chain) is distinct from (null, null, null, null)
)
select distinct on (model) model as subject, number, ended from (
    select *, pg_catalog.sha256(
        coalesce(lag(chain) over lines, ''::bytea) || pg_catalog.convert_to(content::text, 'UTF8')) as right_one,
        row_number() over lines as place
    from lines window lines as (partition by model order by line nulls first)) as found
where chain is distinct from right_one or line is distinct from place order by model, place;

-- name: history_heads
select distinct on (model) model as subject, number, ended, coalesce(chain, ''::bytea) as chain from (
    select model, begin_line as line, number, 0 as ended, begin_chain as chain from changes
    union all
    select model, end_line, number, 1, end_chain from changes where outcome is not null) as lines
order by model, line desc nulls last;

-- name: history_chain
select case when $3 = 0 then begin_chain else end_chain end from changes where model = $1 and number = $2;

-- name: rate_limits
select * from rate_limits order by name;

-- name: rate_limit
select * from rate_limits where name = $1 for update;

-- name: count_other_rate_limits
select count(*) from rate_limits where name <> $1;

-- name: put_rate_limit
insert into rate_limits (name, client, model, requests_per_second, burst, shadow_mode, outage)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (name) do update set (client, model, requests_per_second, burst, shadow_mode, outage)
    = (excluded.client, excluded.model, excluded.requests_per_second, excluded.burst, excluded.shadow_mode, excluded.outage);

-- name: delete_rate_limit
delete from rate_limits where name = $1;
