-- Publishes of precomputed answers. Which generation counts is part of a route's state; here is how each came to be, and
-- what is still to be removed. Rows are never deleted.
create table publishes (
    generation bigint generated always as identity primary key,
    incarnation uuid not null, -- of this store when it began: part of the keys of its rows
    model text not null,
    version text not null,
    digest text not null,
    state text not null default 'open' check (state in ('open', 'committed', 'aborted')),
    state_reason text not null default '',
    expected bigint not null, -- the generation that counted when it began; 0 for none
    declared_rows bigint not null,
    rows bigint not null default 0, -- as noted last; while it is open, the store of answers knows better
    entities bigint not null default 0,
    bytes bigint not null default 0, -- of keys and entries, overhead included; while it is open, at least what was declared
    client text not null,
    request_id text not null,
    fingerprint bytea not null,
    computed_at timestamptz not null,
    ttl interval,
    begun_at timestamptz not null,
    committed_at timestamptz,
    expires_at timestamptz,
    touched_at timestamptz not null default now(), -- rows were added
    closed_at timestamptz, -- aborted, or no longer the one that counts
    closed_after bigint, -- newest generation of tables then
    removed_at timestamptz -- its rows are gone
);
create unique index publishes_by_request on publishes (client, request_id) where request_id <> '';
create index publishes_by_model on publishes (model, generation) where removed_at is null;

-- Stores that this one was before a restore: what they wrote is never read again.
create table former_incarnations (
    incarnation uuid primary key,
    answers_removed_at timestamptz
);
