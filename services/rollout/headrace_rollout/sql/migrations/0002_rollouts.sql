-- include: headrace_servicekit.coordination.sql leader_leases.sql

-- The last change of all rollouts; whoever changes one holds this row to the end, so changes become visible in their order.
alter table store add sequence bigint not null default 0;

-- document: the rollout, but for what stands in the other columns. revision: grows with each change of it, and guards it.
create table rollouts (
    id bigint generated always as identity primary key,
    model text not null,
    running boolean not null,
    document jsonb not null,
    revision bigint not null,
    sequence bigint not null,
    client text not null,
    request_id text not null,
    fingerprint bytea not null
);
create unique index one_rollout_runs on rollouts (model) where running;
create unique index requests on rollouts (client, request_id) where request_id <> '';
create index rollouts_of_model on rollouts (model, id);
create index changes on rollouts (sequence);

-- What happened, with the rollout after it. Nothing is ever removed.
create table rollout_events (
    rollout bigint not null references rollouts,
    number bigint not null,
    create_time timestamptz not null,
    type text not null,
    reason text not null,
    client text not null,
    document jsonb not null,
    primary key (rollout, number)
);

-- Policies of rollouts that are started without one.
create table templates (
    model text primary key,
    document jsonb not null
);
