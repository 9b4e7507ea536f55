-- Every query on publishes, by name.

-- name: begin
-- No row when too many are open, or when the request id was used.
insert into publishes (
    incarnation, model, version, digest, expected, declared_rows, bytes, client, request_id, fingerprint, computed_at, ttl,
    begun_at, origin_run, origin_manifest
)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $15, $16
where (select count(*) from publishes where state = 'open') < $14
on conflict do nothing
returning *;

-- name: open
-- In all, and of one client.
select count(*), count(*) filter (where client = $1) from publishes where state = 'open';

-- name: by_request
select * from publishes where client = $1 and request_id = $2;

-- name: by_generation
select * from publishes where generation = $1;

-- name: kept
-- Those whose rows may be in the store.
select * from publishes where removed_at is null order by generation;

-- name: kept_of_model
select * from publishes where removed_at is null and model = $1 order by generation;

-- name: bytes_of_others
select coalesce(sum(bytes), 0)::bigint as bytes from publishes where removed_at is null and generation <> $1;

-- name: note
-- How far an open publish is. It holds on to what was declared until it is closed.
update publishes set rows = $2, entities = $3, bytes = greatest(bytes, $4), touched_at = now()
where generation = $1 and state = 'open' returning generation;

-- name: commit
-- Repeating it changes nothing. An aborted one is corrected: what a route's state says counts.
update publishes set state = 'committed', state_reason = '', committed_at = $2, expires_at = $3, closed_at = null,
    closed_after = null
where generation = $1 and state <> 'committed' returning generation;

-- name: counted
-- What it has, once it is complete.
update publishes set rows = $2, entities = $3, bytes = $4 where generation = $1;

-- name: abort
update publishes set state = 'aborted', state_reason = $2, closed_at = now(), closed_after = 0
where generation = $1 and state = 'open' returning generation;

-- name: abandoned
select * from publishes where state = 'open' and touched_at < now() - $1::interval;

-- name: close
-- It no longer counts. $2: newest generation of tables.
update publishes set closed_at = now(), closed_after = $2
where generation = any($1::bigint[]) and closed_at is null and state = 'committed';

-- name: reopen
-- It counts again, after a revert.
update publishes set closed_at = null, closed_after = null
where generation = any($1::bigint[]) and closed_at is not null and state = 'committed';

-- name: closed_for
-- Those closed at least so long ago.
select generation from publishes where removed_at is null and closed_at < now() - $1::interval;

-- name: removed
update publishes set removed_at = now() where generation = any($1::bigint[]);

-- name: former_incarnations
select incarnation from former_incarnations where answers_removed_at is null;

-- name: former_removed
update former_incarnations set answers_removed_at = now() where incarnation = any($1::uuid[]);
