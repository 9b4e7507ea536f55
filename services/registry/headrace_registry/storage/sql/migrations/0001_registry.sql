-- The registry's first schema: models, versions, aliases, blobs, history, remembered requests.
-- Names sort by code point ("C"), as the pages and tokens that carry them expect.

-- One row. `incarnation` says which store this is: a restore gives it a new one, and tokens of the old one become void.
-- `sequence` numbers all changes. It is a row and not a SEQUENCE: the row lock makes numbers visible in their order, so
-- that a watch which has seen number n has seen everything before it.
create table store (
    one         boolean primary key default true check (one),
    incarnation uuid   not null default gen_random_uuid(),
    sequence    bigint not null default 0
);
insert into store default values;

create table models (
    name             text collate "C" primary key,
    description      text not null,
    labels           jsonb not null,
    gates            jsonb,                       -- null: the default gates; []: none
    rollback_targets text[] not null default '{}',
    epoch            bigint not null,             -- counts the model's changes
    sequence         bigint unique,               -- of its last change; null only inside the transaction that makes it
    create_time      timestamptz not null,
    update_time      timestamptz not null
);

-- Stored bytes that were found to be of a type; the bytes are in S3 under blobs/sha256/<hex>.
create table blobs (
    sha256      text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    type        text not null check (type in ('onnx', 'parquet', 'json')),
    size_bytes  bigint not null,
    model_file  jsonb,                            -- inputs and outputs that an ONNX file declares
    create_time timestamptz not null,
    primary key (sha256, type)
);

create table versions (
    model          text collate "C" not null references models,
    version        text collate "C" not null,
    stage          text not null check (stage in ('registered', 'staging', 'production', 'archived')),
    epoch          bigint not null,               -- of the model, when the version was registered: its place in the line
    description    text not null,
    metrics        jsonb not null,
    parameters     jsonb not null,
    parent_version text collate "C",
    run            text not null,
    dataset        text not null,
    code_revision  text not null,
    contract       jsonb not null,
    serving        jsonb not null,
    signature_hash text not null,
    digest         text not null,
    created_by     text not null,
    create_time    timestamptz not null,
    primary key (model, version),
    foreign key (model, parent_version) references versions (model, version)
);
create unique index versions_one_production on versions (model) where stage = 'production';
create unique index versions_newest on versions (model, epoch);

create table artifacts (
    model    text collate "C" not null,
    version  text collate "C" not null,
    ordinal  int  not null,
    name     text not null,
    type     text not null,
    sha256   text not null,
    primary key (model, version, name),
    foreign key (model, version) references versions,
    foreign key (sha256, type) references blobs   -- a blob that a version names cannot be collected
);

create table aliases (
    model   text collate "C" not null,
    alias   text collate "C" not null,
    version text collate "C" not null,
    primary key (model, alias),
    foreign key (model, version) references versions
);

create table events (
    model       text collate "C" not null references models,
    epoch       bigint not null,
    ordinal     int not null,                     -- within the change that made the epoch
    action      text not null,
    version     text not null,
    from_stage  text,
    to_stage    text,
    alias       text not null,
    client      text not null,
    reason      text not null,
    create_time timestamptz not null,
    primary key (model, epoch, ordinal)
);

-- Answers of writes, so that a repeated write returns the first one.
create table requests (
    client      text not null,
    request_id  text not null,
    fingerprint bytea not null,
    outcome     jsonb,                            -- null only inside the transaction that makes it
    create_time timestamptz not null,
    primary key (client, request_id)
);
create index requests_age on requests (create_time);

-- History is append-only and versions are immutable, whoever writes: a person in psql too.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% of % is refused: history is append-only and versions are immutable', tg_op, tg_table_name
        using errcode = 'integrity_constraint_violation';
end $$;

create trigger events_append_only before update or delete on events
    for each row execute function refuse_change();
create trigger versions_immutable before update on versions
    for each row when ((to_jsonb(old) - 'stage') is distinct from (to_jsonb(new) - 'stage'))
    execute function refuse_change();
create trigger artifacts_immutable before update on artifacts
    for each row execute function refuse_change();
