-- What windows are held against, the windows, and what looks at them found.

-- The one with the highest number counts for its version; those before it stay, with their windows until they expire.
create table drift_references (
    number      bigint generated always as identity primary key,
    model       text collate "C" not null,
    version     text collate "C" not null,
    source      text not null check (source in ('artifact', 'window')),
    name        text not null,                -- SHA-256 of the artifact, or the bounds of the window
    seasonal    boolean not null,
    start_time  timestamptz,                  -- of the window
    end_time    timestamptz,
    rows        bigint not null,              -- that it was frozen from
    content     bytea not null,               -- statistics as text, zlib
    since       timestamptz not null,         -- rows of the log from this hour on are summarised on its edges
    client      text not null,
    freeze_time timestamptz not null
);
create index drift_references_current on drift_references (model, version, number desc);

-- Versions that have traffic and no reference, and why: they are not tried again before that time.
create table reference_attempts (
    model      text collate "C" not null,
    version    text collate "C" not null,
    problem    text not null,
    again_time timestamptz not null,
    primary key (model, version)
);

-- Files of the log that are in the windows of a reference, or are on their way into them.
create table window_files (
    reference  bigint not null references drift_references on delete cascade,
    file       bigint not null,
    holder     uuid,                          -- who summarises it
    until_time timestamptz,                   -- anybody may summarise it after that time; null: it is in the windows
    primary key (reference, file)
);
create index window_files_due on window_files (until_time) where until_time is not null;

create table windows (
    reference   bigint not null references drift_references on delete cascade,
    start_time  timestamptz not null,
    seconds     int not null,
    variant     text not null,
    source      text not null,                -- where the answers came from
    rows        bigint not null,
    predictions text not null,                -- moments of the predicted value, statistics as text
    summaries   bytea not null,               -- by column, statistics as text, zlib
    primary key (reference, start_time, seconds, variant, source)
);

-- Each time is looked at once on schedule.
create table drift_looks (
    number     bigint generated always as identity primary key,
    model      text collate "C" not null,
    version    text collate "C" not null,
    reference  bigint not null,
    start_time timestamptz not null,
    end_time   timestamptz not null,
    severity   smallint not null,             -- 0 none, 1 low, 2 medium, 3 high
    alarms     int not null,
    rows       bigint not null,
    report     bytea not null,                -- message headrace.monitor.v1.Drift, without its name
    look_time  timestamptz not null default now(),
    unique (model, version, start_time, end_time)
);
create index drift_looks_latest on drift_looks (model, version, number desc);
