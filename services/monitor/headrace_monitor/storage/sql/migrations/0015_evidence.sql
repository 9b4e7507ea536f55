-- Priority class of the requests; 0, ONLINE, of all that releases before it have reported.
alter table counter_series add column priority smallint not null default 0;
alter table counter_minutes add column priority smallint not null default 0;
alter table counter_hours add column priority smallint not null default 0;
-- A process that has said that it stops: nobody waits for its reports.
alter table counter_processes add column stopped boolean not null default false;

-- Units that had a fault or an invalid answer, as sketches: the smallest hashes, of four bytes, rising.
create table counter_erring_units (
    process bigint not null references counter_processes on delete cascade,
    minute timestamptz not null,
    model text not null,
    version text not null,
    variant text not null,
    hashes bytea not null,
    primary key (process, minute, model, version, variant)
);
create index counter_erring_units_by_model on counter_erring_units (model, minute);
create index counter_erring_units_by_time on counter_erring_units (minute);
