-- Every query of the registry, by name. A query ends where the next one begins.

-- name: claim_request
-- True when this transaction now owns the request id. Waits while another transaction owns it.
insert into requests (client, request_id, fingerprint, create_time) values ($1, $2, $3, $4)
on conflict do nothing returning true;

-- name: answered_request
-- What an earlier transaction answered.
select fingerprint, outcome from requests where client = $1 and request_id = $2;

-- name: remember_request
update requests set outcome = $3 where client = $1 and request_id = $2;

-- name: expire_requests
delete from requests where ctid in (select ctid from requests where create_time < $1 limit $2);

-- name: now
-- Not when the transaction began: it may have waited for a lock since.
select clock_timestamp() as now;

-- name: make_model
-- A model without changes yet, unless there is one of that name.
insert into models (name, description, labels, epoch, create_time, update_time) values ($1, '', '{}', 0, $2, $2)
on conflict do nothing;

-- name: lock_model
-- The lock alone: a query that also read other tables would see them as they were before the wait for the lock.
select delete_time is null from models where name = $1 for no key update;

-- name: model
-- Deleted or not.
select models.*, store.incarnation,
       coalesce((select version from versions where model = models.name and stage = 'production'), '') as production,
       (select coalesce(jsonb_object_agg(alias, version), '{}') from aliases where model = models.name) as aliases
from models cross join store
where models.name = $1;

-- name: models
-- A page by name.
select models.*, store.incarnation,
       coalesce((select version from versions where model = models.name and stage = 'production'), '') as production,
       (select coalesce(jsonb_object_agg(alias, version), '{}') from aliases where model = models.name) as aliases
from models cross join store
where models.name > $1 and models.delete_time is null
  and (position($3 in lower(models.name)) > 0 or position($3 in lower(models.description)) > 0)
order by models.name limit $2;

-- name: latest_models
-- A page of the same, those that changed last first.
select models.*, store.incarnation,
       coalesce((select version from versions where model = models.name and stage = 'production'), '') as production,
       (select coalesce(jsonb_object_agg(alias, version), '{}') from aliases where model = models.name) as aliases
from models cross join store
where models.delete_time is null
  and ($1::timestamptz is null or (models.update_time, models.name) < ($1, $2))
  and (position($4 in lower(models.name)) > 0 or position($4 in lower(models.description)) > 0)
order by models.update_time desc, models.name desc limit $3;

-- name: models_changed_since
-- In the order in which the changes became visible.
select models.*, store.incarnation,
       coalesce((select version from versions where model = models.name and stage = 'production'), '') as production,
       (select coalesce(jsonb_object_agg(alias, version), '{}') from aliases where model = models.name) as aliases
from models cross join store
where models.sequence > $1
order by models.sequence limit $2;

-- name: version
select versions.*,
       (select coalesce(jsonb_agg(jsonb_build_array(name, type, sha256, size_bytes) order by ordinal), '[]')
        from artifacts join blobs using (sha256, type)
        where (artifacts.model, artifacts.version) = (versions.model, versions.version)) as artifacts,
       last_measured(versions.model, versions.version) as measured
from versions
where model = $1 and version = $2 and exists (select from models where name = $1 and delete_time is null);

-- name: versions
-- A page, newest first; null for $2 begins at the newest, null for $4 takes every stage.
select versions.*,
       (select coalesce(jsonb_agg(jsonb_build_array(name, type, sha256, size_bytes) order by ordinal), '[]')
        from artifacts join blobs using (sha256, type)
        where (artifacts.model, artifacts.version) = (versions.model, versions.version)) as artifacts,
       last_measured(versions.model, versions.version) as measured
from versions
where model = $1 and ($2::bigint is null or epoch < $2) and ($4::text is null or stage = $4)
  and exists (select from models where name = $1 and delete_time is null)
order by epoch desc limit $3;

-- name: versions_of_models
-- All versions of several models whose files are kept, newest first.
select versions.*,
       (select coalesce(jsonb_agg(jsonb_build_array(name, type, sha256, size_bytes) order by ordinal), '[]')
        from artifacts join blobs using (sha256, type)
        where (artifacts.model, artifacts.version) = (versions.model, versions.version)) as artifacts,
       last_measured(versions.model, versions.version) as measured
from versions
where model = any($1::text[]) and collect_time is null
order by model, epoch desc;

-- name: insert_version
insert into versions (model, version, stage, epoch, description, metrics, parameters, parent_version, run, dataset,
                      code_revision, contract, serving, signature_hash, digest, created_by, create_time, format,
                      composition)
values ($1, $2, $3, $4, $5, $6, $7, nullif($8, ''), $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19);

-- name: put_pools
with gone as (delete from pools where name <> all ($1::text[]))
insert into pools (name, formats)
select name, string_to_array(formats, ' ') from unnest($1::text[], $2::text[]) as reported (name, formats)
on conflict (name) do update set formats = excluded.formats;

-- name: pools
select name, formats from pools order by name;

-- name: insert_artifact
insert into artifacts (model, version, ordinal, name, type, sha256) values ($1, $2, $3, $4, $5, $6);

-- name: move_version
update versions set stage = $3 where model = $1 and version = $2;

-- name: set_serving
update versions set serving = $3, serving_revision = $4 where model = $1 and version = $2;

-- name: set_alias
insert into aliases (model, alias, version) values ($1, $2, $3)
on conflict (model, alias) do update set version = excluded.version;

-- name: delete_alias
delete from aliases where model = $1 and alias = $2;

-- name: insert_event
insert into events (model, epoch, ordinal, action, version, from_stage, to_stage, alias, client, reason, create_time,
                    signature_breaks, serving_change, promotion_request)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);

-- name: history_lines
select count(*) from events;

-- name: history_misfits
-- Of each model the first line whose digest is not that of itself and of the line before it. The digest is written out as
-- `event_digest` has it: whoever owns the database can make that function say anything.
select distinct on (model) model as subject, epoch, ordinal from (
    select model, epoch, ordinal, chain, pg_catalog.sha256(
        coalesce(lag(chain) over lines, ''::bytea) || pg_catalog.convert_to(pg_catalog.jsonb_build_array(
            model, epoch, ordinal, action, version, from_stage, to_stage, alias, client, reason,
            (extract(epoch from create_time) * 1000000)::bigint, signature_breaks, serving_change, promotion_request
        )::text, 'UTF8')) as right_one
    from events window lines as (partition by model order by epoch, ordinal)) as found
where chain is distinct from right_one order by model, epoch, ordinal;

-- name: history_heads
select distinct on (model) model as subject, epoch, ordinal, coalesce(chain, ''::bytea) as chain
from events order by model, epoch desc, ordinal desc;

-- name: history_chain
select chain from events where model = $1 and epoch = $2 and ordinal = $3;

-- name: save_model
-- Takes the next number of all changes: the lock on the one row of `store` is held from here to the commit.
with next as (update store set sequence = sequence + 1 returning sequence)
update models
set description = $2, labels = $3, gates = $4, rollback_targets = $5, epoch = $6, update_time = $7,
    delete_time = $8, approvals = $9, max_unpromoted_share = $10, sequence = next.sequence
from next
where name = $1
returning pg_notify('headrace_registry', next.sequence::text);

-- name: events
-- A page, newest first; null for $2 begins at the newest.
select * from events
where model = $1 and ($2::bigint is null or (epoch, ordinal) < ($2, $3::int))
order by epoch desc, ordinal desc limit $4;

-- name: last_words
-- Of the events until a time, the last one of each version that gave it a stage, of each alias, and of the rest.
select distinct on (subject) events.*,
       case when to_stage is not null then 'version ' || version when alias <> '' then 'alias ' || alias else '' end as subject
from events
where model = $1 and create_time <= $2
order by subject, epoch desc, ordinal desc;

-- name: last_measured_by
-- From name to name: a process may have said much of each.
with recursive said as (
    (select name, value from measurements where model = $1 and version = $2 and source_process = $3
     order by name, number desc limit 1)
    union all
    select next.* from said cross join lateral (
        select name, value from measurements
        where model = $1 and version = $2 and source_process = $3 and name > said.name
        order by name, number desc limit 1) as next
)
select name, value from said;

-- name: insert_measurement
insert into measurements (model, version, name, value, source_process, create_time) values ($1, $2, $3, $4, $5, $6);

-- name: measurements
-- A page, newest first; null for $3 begins at the newest.
select * from measurements
where model = $1 and version = $2 and ($3::bigint is null or number < $3)
order by number desc limit $4;

-- name: collect_versions
-- Null for $2 gives up all of them.
update versions set collect_time = $3
where model = $1 and ($2::text[] is null or version = any($2)) and collect_time is null;

-- name: holds
-- A page by version and holder.
select * from holds
where model = $1 and expire_time > $2 and (version, holder) > ($3, $4)
order by version, holder limit $5;

-- name: put_hold
insert into holds (model, version, holder, reason, client, create_time, expire_time) values ($1, $2, $3, $4, $5, $6, $7)
on conflict (model, version, holder) do update
set reason = excluded.reason, client = excluded.client, create_time = excluded.create_time,
    expire_time = excluded.expire_time;

-- name: delete_hold
delete from holds where model = $1 and version = $2 and holder = $3;

-- name: expire_holds
delete from holds where expire_time < $1;

-- name: promotion_request
select document from promotion_requests
where model = $1 and number = $2 and exists (select from models where name = $1 and delete_time is null);

-- name: open_promotion_requests
select document from promotion_requests where model = $1 and not over order by number;

-- name: put_promotion_request
insert into promotion_requests (model, number, state, over, document) values ($1, $2, $3, $4, $5)
on conflict (model, number) do update
set state = excluded.state, over = excluded.over, document = excluded.document;

-- name: promotion_requests
-- A page by model, the latest first; an empty $1 takes every model, null for $2 every state.
select document from promotion_requests join models on models.name = promotion_requests.model
where models.delete_time is null and ($1 = '' or model = $1) and ($2::text is null or state = $2)
  and (model > $3 or (model = $3 and number < $4))
order by model, number desc limit $5;

-- name: blob
select * from blobs where sha256 = $1 and type = $2 and collect_time is null;

-- name: lock_blob
-- Waits for a collection of it; whoever waited sees what it left.
select * from blobs where sha256 = $1 and type = $2 and collect_time is null for key share;

-- name: put_blob
insert into blobs (sha256, type, size_bytes, model_file, create_time, touch_time) values ($1, $2, $3, $4, $5, $5)
on conflict (sha256, type) do update
set touch_time = greatest(blobs.touch_time, excluded.touch_time), collect_time = null;

-- name: touch_blob
update blobs set touch_time = greatest(touch_time, $3) where sha256 = $1 and type = $2 and collect_time is null
returning *;

-- name: lock_content
-- Uploads of the same bytes wait, also those of which nothing is recorded yet.
select pg_advisory_xact_lock(hashtextextended($1, 0));

-- name: lock_content_rows
-- Versions that begin to name the bytes wait.
select true from blobs where sha256 = $1 for update;

-- name: content_use
select $1::text as sha256, coalesce(max(size_bytes), 0) as size_bytes, max(touch_time) as touch_time,
       coalesce(bool_and(collect_time is not null), false) as collected,
       exists (select from artifacts join versions using (model, version)
               where artifacts.sha256 = $1 and versions.collect_time is null) as needed,
       (select max(versions.collect_time) from artifacts join versions using (model, version)
        where artifacts.sha256 = $1) as given_up_time,
       exists (select from uploads where uploads.sha256 = $1 and expire_time > $2) as uploading
from blobs where sha256 = $1;

-- name: contents
-- A page by SHA-256 of the bytes that are stored.
select sha256, max(size_bytes) as size_bytes, max(touch_time) as touch_time, false as collected,
       exists (select from artifacts join versions using (model, version)
               where artifacts.sha256 = blobs.sha256 and versions.collect_time is null) as needed,
       (select max(versions.collect_time) from artifacts join versions using (model, version)
        where artifacts.sha256 = blobs.sha256) as given_up_time,
       exists (select from uploads where uploads.sha256 = blobs.sha256 and expire_time > $1) as uploading
from blobs where sha256 > $2 and collect_time is null
group by sha256 order by sha256 limit $3;

-- name: stored_contents
select distinct sha256 from blobs where sha256 = any($1::text[]) and collect_time is null;

-- name: delete_unnamed_content
delete from blobs where sha256 = $1 and not exists (
    select from artifacts where (artifacts.sha256, artifacts.type) = (blobs.sha256, blobs.type));

-- name: delete_named_content
update blobs set collect_time = $2 where sha256 = $1 and collect_time is null;

-- name: open_upload
insert into uploads (id, sha256, type, size_bytes, client, staged, create_time, expire_time, completed)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (id) do update set sha256 = excluded.sha256, completed = excluded.completed;

-- name: upload
select * from uploads where id = $1;

-- name: staged_uploads
select count(*) as open, count(*) filter (where client = $2) as of_client
from uploads where staged and not completed and expire_time > $1;

-- name: close_upload
delete from uploads where id = $1;

-- name: expired_uploads
select * from uploads where expire_time <= $1 order by expire_time limit $2;

-- name: position
select incarnation, sequence from store;

-- name: begin_time
select begin_time from store;

-- name: check
select 1;
