-- Who reports. A row is locked while a report of its process is taken: whichever replica has it, reports take turns.
create table counter_processes (
    number bigint generated always as identity primary key,
    process uuid not null unique,
    data_plane text not null,
    series int not null default 0 check (series >= 0),
    -- Its last totals are gone; what it reports yet begins where it stands then.
    forgotten boolean not null default false,
    seen_time timestamptz not null default now()
);
create index counter_processes_by_age on counter_processes (seen_time);

-- The last total of each series of each process, and what it was when the minute began that is still open.
create table counter_series (
    process bigint not null references counter_processes on delete cascade,
    key bytea not null,
    model text not null,
    version text not null,
    variant text not null,
    served_from smallint not null,
    code smallint not null,
    layer text not null,
    rung text not null,
    sequence bigint not null,
    minute timestamptz not null,
    total bytea not null,
    base bytea not null,
    primary key (process, key)
    -- Rows are written each second, and within a minute no index has what changes: room beside them keeps that cheap.
) with (fillfactor = 50);
create index counter_series_by_time on counter_series (minute);
create index counter_series_by_model on counter_series (model, minute);

-- What was new in a minute that ended. Several rows of a key and minute add up; nothing is ever changed, only rolled up.
create table counter_minutes (
    start timestamptz not null,
    model text not null,
    version text not null,
    variant text not null,
    served_from smallint not null,
    code smallint not null,
    layer text not null,
    rung text not null,
    tally bytea not null
);
create index counter_minutes_by_time on counter_minutes (start);
create index counter_minutes_by_model on counter_minutes (model, start);

-- What was new in an hour whose minutes were rolled up.
create table counter_hours (like counter_minutes);
create index counter_hours_by_time on counter_hours (start);
create index counter_hours_by_model on counter_hours (model, start);

-- Predictions that are in no batch, by reason: the last total of each process, and what was new in each minute.
create table counter_drops (
    process bigint not null references counter_processes on delete cascade,
    reason text not null,
    sequence bigint not null,
    total bigint not null,
    primary key (process, reason)
);
create table counter_drop_minutes (
    start timestamptz not null,
    reason text not null,
    count bigint not null,
    primary key (start, reason)
);

-- Up to when minutes were told to the alert rules.
create table counter_observed (
    one boolean primary key default true check (one),
    until timestamptz not null
);
