-- Every policy that a pool has had. Documents are `json`, not `jsonb`: a replay needs them to the last bit.
create table policies (
    revision bigint generated always as identity primary key,
    pool text not null,
    policy json not null,
    create_time timestamptz not null default now(),
    client text not null
);

-- Each pool that has, or had, a policy.
create table pools (
    pool text primary key,
    revision bigint references policies (revision), -- in force; null when it was deleted
    pause_time timestamptz,                         -- null while it is not paused
    pause_reason text not null default '',
    pause_client text not null default '',
    memory json,                                    -- of the decisions: windows, stabilisation, budget; null before the first
    acting json,                                    -- what the actuator was asked, and what came of it
    decision bigint,                                -- the latest one
    problems text[] not null default '{}',
    sequence bigint not null                        -- of its last change
);
create index pools_by_sequence on pools (sequence);

-- One for each decision.
create table decisions (
    number bigint generated always as identity primary key,
    pool text not null,
    create_time timestamptz not null,
    revision bigint not null references policies (revision),
    desired int not null,
    changed bool not null,      -- wants something else than the one before it, or was acted on
    memory json,                -- before it; null for the first one
    observation json not null,
    decision json not null,
    outcome smallint not null,
    detail text not null,
    outcome_time timestamptz not null
);
create index decisions_of_pool on decisions (pool, number);
create index changes_of_pool on decisions (pool, number) where changed;

-- How long replicas took to be ready.
create table starts (
    pool text not null,
    process text not null,
    ready_time timestamptz not null,
    duration_s double precision not null,
    primary key (pool, process)
);
create index starts_of_pool on starts (pool, ready_time);

-- The demand of each pool, in the unit of its first target: the history that seasonal floors and advice are made from.
create table demand_minutes (
    pool text not null,
    minute timestamptz not null,
    metric text not null,
    peak double precision not null,
    mean double precision not null,
    ready double precision not null, -- replicas, on average
    samples int not null,
    primary key (pool, minute, metric)
);

-- Counts changes of pools: whoever changes some holds the row to the end, so that changes become visible in order.
alter table store add column sequence bigint not null default 0;
