-- What batchers were used for, by the hour in which they reported it.
create table usage_hours (
    hour timestamptz not null,
    pool text not null,
    model text not null,
    version text not null,
    client text not null,
    priority smallint not null,
    requests bigint not null,
    rows bigint not null,
    compute_us bigint not null,
    primary key (hour, pool, model, version, client, priority)
);

-- For how long they were there, and busy: of all batchers of a pool together.
create table usage_pools (
    hour timestamptz not null,
    pool text not null,
    present_us bigint not null,
    busy_us bigint not null,
    primary key (hour, pool)
);

-- The last report of each process of a batcher, so that one that comes twice counts once.
create table usage_processes (
    process text primary key,
    sequence bigint not null,
    seen_time timestamptz not null default now()
);

create table budgets (
    name text primary key,
    client text not null,
    model text not null,
    period smallint not null,
    compute_us bigint not null,
    refuse_above_us bigint not null
);

-- The last page that was taken of what a monitor of 0.1.0 had.
create table usage_taken_over (
    only_row boolean primary key default true check (only_row),
    page bigint not null
);
