-- One row: who this store is, and the numbers that order everything. Both numbers come from UPDATE ... RETURNING under the
-- row's lock, so they become visible in the order in which they take effect; a sequence would not promise that.
create table store (
    singleton boolean primary key default true check (singleton),
    incarnation uuid not null default gen_random_uuid(),
    newest_generation bigint not null default 0,
    newest_revision bigint not null default 0
);
insert into store default values;

-- Versions as data planes and batchers get them, so that tables can be served without the registry.
create table versions (
    digest text primary key,
    model text not null,
    version text not null,
    resolved bytea not null, -- headrace.router.v1.ResolvedVersion
    created_at timestamptz not null default now()
);

-- The state of each route. A write names the revision that it read: of two writers the second finds it done.
create table routes (
    model text primary key,
    revision bigint not null unique,
    state jsonb not null,
    updated_at timestamptz not null default now()
);

-- Every change that ever began: the history of routes. Rows are completed once and never removed.
create table changes (
    id uuid primary key,
    model text not null,
    kind text not null check (kind in ('write', 'registry')),
    client text not null,
    reason text not null,
    change jsonb not null,
    begun_at timestamptz not null,
    outcome text check (outcome in ('active', 'not_ready', 'superseded')),
    outcome_reason text not null default '',
    generation bigint,
    ended_at timestamptz
);
create index changes_by_model on changes (model, begun_at desc);

-- What data planes were told, in order. A watcher that knows number N reads on from there and misses nothing.
create table generations (
    number bigint primary key,
    model text not null,
    told text not null check (told in ('table', 'not_serving', 'removed')),
    salt bytea not null,
    generation jsonb, -- null unless told is 'table'
    created_at timestamptz not null default now()
);
create index generations_by_model on generations (model, number desc);

-- Writes by request id, so that a repeated one finds the change that the first began.
create table requests (
    client text not null,
    request_id text not null,
    fingerprint bytea not null,
    change uuid not null references changes (id),
    created_at timestamptz not null default now(),
    primary key (client, request_id)
);
create index requests_by_age on requests (created_at);

-- What batcher processes hold, each row valid until its lease expires.
create table reports (
    process text primary key,
    pool text not null,
    address text not null,
    versions jsonb not null,
    expires_at timestamptz not null
);

-- How far data planes are, by slot.
create table data_planes (
    id text primary key,
    acknowledged bigint not null default 0,
    first_seen bigint not null,
    seen_at timestamptz not null
);
