-- Jobs that are created again and again. document: the schedule. revision: grows with each change of it, and guards it.
create table schedules (
    model text not null,
    id text not null,
    document jsonb not null,
    revision bigint not null default 1,
    primary key (model, id)
);

-- What became of times. job: null for times that were skipped.
create table schedule_decisions (
    model text not null,
    id text not null,
    number bigint not null,
    create_time timestamptz not null,
    time timestamptz not null,
    job bigint,
    skipped bigint not null,
    reason text not null,
    primary key (model, id, number),
    foreign key (model, id) references schedules on delete cascade
);
