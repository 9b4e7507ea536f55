-- include: headrace_servicekit.coordination.sql leader_leases.sql

-- The last change of all jobs; whoever changes one holds this row to the end, so changes become visible in their order.
alter table store add sequence bigint not null default 0;

-- document: the job. state: of it, for queries. revision: grows with each change of it, and guards it.
create table scoring_jobs (
    id bigint generated always as identity primary key,
    model text not null,
    state text not null,
    document jsonb not null,
    revision bigint not null,
    sequence bigint not null,
    client text not null,
    request_id text not null,
    fingerprint bytea not null
);
create unique index requests on scoring_jobs (client, request_id) where request_id <> '';
create index jobs_of_model on scoring_jobs (model, id);
create index changes on scoring_jobs (sequence);
create index jobs_not_over on scoring_jobs (id) where state not in ('succeeded', 'failed', 'cancelled');

-- What happened.
create table scoring_job_events (
    job bigint not null references scoring_jobs,
    number bigint not null,
    create_time timestamptz not null,
    type text not null,
    reason text not null,
    client text not null,
    primary key (job, number)
);

-- What a job is cut into. result: null until it is done.
create table shards (
    job bigint not null references scoring_jobs,
    number int not null,
    document jsonb not null,
    result jsonb,
    primary key (job, number)
);
create index shards_to_do on shards (job, number) where result is null;
