-- Runs of data planes that report predictions. through: every batch up to this number is stored, or counted as lost.
create table log_processes (
    process uuid primary key,
    data_plane text not null,
    through bigint not null default 0,
    highest bigint not null default 0,
    first_time timestamptz not null default now(),
    last_time timestamptz not null default now()
);
create index log_processes_behind on log_processes (process) where highest > through;

-- Batches of predictions that are durable, each as one object, from then until their number is behind `through` and
-- their object is gone. number: the order in which they are compacted.
create table log_batches (
    process uuid not null,
    sequence bigint not null,
    number bigint generated always as identity,
    object_key text not null,
    size_bytes bigint not null,
    predictions int not null,
    store_time timestamptz not null default now(),
    -- Groups that are not in the log yet because nobody knows their version; null until the batch was looked at.
    waiting_groups int[],
    attempts int not null default 0,
    retry_time timestamptz not null default now(),
    -- When all of it was in the log, or given up.
    compact_time timestamptz,
    -- Why it was given up.
    damage text,
    -- Whether its object is gone.
    removed boolean not null default false,
    primary key (process, sequence)
);
create index log_batches_due on log_batches (number) where compact_time is null;
create index log_batches_to_remove on log_batches (number) where compact_time is not null and not removed;
create index log_batches_forgettable on log_batches (process, sequence) where removed;

-- Numbers of a process that did not come, long after later ones did. One that comes after all leaves its range.
create table lost_batches (
    process uuid not null,
    first bigint not null,
    last bigint not null,
    data_plane text not null,
    find_time timestamptz not null default now(),
    primary key (process, first),
    check (first <= last)
);
create index lost_batches_by_time on lost_batches (find_time);

-- Files of the log, each with records of one version and hour. An id never comes back, and ids become visible in their
-- order. Who derives something from the log takes each file that is not merged, once; who reads it, each not replaced.
create table log_files (
    id bigserial primary key,
    model text not null,
    version text not null,
    hour timestamptz not null,
    object_key text not null unique,
    size_bytes bigint not null,
    row_count bigint not null,
    prediction_count bigint not null,
    min_answer_time timestamptz not null,
    max_answer_time timestamptz not null,
    compact_time timestamptz not null default now(),
    -- Whether its records come from other files of the hour.
    merged boolean not null default false,
    -- Whether a merged file has its records; it is there for a while all the same.
    replaced boolean not null default false,
    replace_time timestamptz
);
create index log_files_by_hour on log_files (model, version, hour) where not replaced;
create index log_files_replaced on log_files (replace_time) where replaced;

-- Objects that are no file of the log: being written, or to be removed. Who removes one claims it first; who has written
-- one takes it out of here in the transaction that makes it a file, unless it was claimed.
create table log_leftovers (
    object_key text primary key,
    remove_time timestamptz not null,
    claimed boolean not null default false
);
create index log_leftovers_due on log_leftovers (remove_time);
