-- Every query of the console, by name. A query ends where the next one begins.

-- name: check
select count(*) from sessions where digest = '\x00';

-- name: put
insert into sessions (digest, kind, sealed, expire_time) values ($1, $2, $3, now() + $4);

-- name: find
select sealed from sessions where digest = $1 and kind = $2 and expire_time > now();

-- name: going_on
-- Of the sessions that pages are open for, those that have not ended.
select digest from sessions where digest = any($1::bytea[]) and kind = 'session' and expire_time > now();

-- name: lock
-- The same, and nobody else changes it until the end of the transaction: a token is renewed once.
select sealed from sessions where digest = $1 and kind = 'session' and expire_time > now() for update;

-- name: replace
update sessions set sealed = $2 where digest = $1;

-- name: take
delete from sessions where digest = $1 and kind = $2 and expire_time > now() returning sealed;

-- name: remove
delete from sessions where digest = $1;

-- name: spend_link
insert into spent_links (id, expire_time) values ($1, now() + $2) on conflict do nothing returning id;

-- name: expire
delete from sessions where expire_time < now();

-- name: expire_links
delete from spent_links where expire_time < now();
