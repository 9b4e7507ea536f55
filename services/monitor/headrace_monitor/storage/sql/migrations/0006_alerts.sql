-- What alert rules judge: a row per signal and time, written once by the part that measured it, in its own transaction.
create table observations (
    id bigint generated always as identity primary key,
    model text not null,
    version text not null,
    signal text not null,
    window_start timestamptz not null,
    window_end timestamptz not null check (window_end > window_start),
    value double precision not null,
    rows bigint check (rows >= 0),
    severity smallint not null check (severity between 0 and 3),
    summary text not null,
    put_time timestamptz not null default clock_timestamp(),
    judged boolean not null default false,
    unique (model, version, signal, window_end, window_start)
);
create index observations_to_judge on observations (window_end, id) where not judged;
create index observations_by_age on observations (put_time);

-- Every change to a rule or an alert takes the next number under one lock: who reads on from a number misses nothing.
create sequence alert_changes;

create table alert_rules (
    name text primary key,
    model text not null,
    signal text not null,
    at_least smallint check (at_least between 1 and 3),
    above double precision,
    below double precision,
    hold interval not null default '0',
    window_length interval,
    severity smallint check (severity between 1 and 3),
    freezes boolean not null default false,
    retrains boolean not null default false,
    min_rows bigint not null default 0,
    revision bigint not null default nextval('alert_changes')
);

-- How a rule stands with one version of a model: what must be remembered between two looks.
create table alert_series (
    rule text not null references alert_rules on delete cascade,
    model text not null,
    version text not null,
    revision bigint not null,
    seen timestamptz not null,
    quiet_after timestamptz not null,
    holding boolean not null,
    since timestamptz not null,
    muted boolean not null,
    primary key (rule, model, version)
);

create table alerts (
    id bigint generated always as identity primary key,
    rule text not null,
    model text not null,
    version text not null,
    signal text not null,
    severity smallint not null check (severity between 1 and 3),
    summary text not null,
    value double precision not null,
    freezes boolean not null,
    retrains boolean not null,
    open_time timestamptz not null,
    resolve_time timestamptz,
    quiet_since timestamptz,
    sequence bigint not null default nextval('alert_changes')
);
-- The same thing is told once, whatever becomes of the process that found it.
create unique index alerts_open on alerts (rule, model, version) where resolve_time is null;
create index alerts_by_sequence on alerts (sequence);
create index alerts_by_model on alerts (model, id);
create index alerts_by_resolve_time on alerts (resolve_time) where resolve_time is not null;

create table silences (
    id bigint generated always as identity primary key,
    model text not null,
    rule text not null,
    expire_time timestamptz not null,
    comment text not null,
    client text not null
);

create table webhooks (
    name text primary key,
    url text not null,
    secret text not null,
    format text not null check (format in ('cloud_event', 'slack', 'pagerduty')),
    at_least smallint not null check (at_least between 0 and 3),
    model text not null,
    retrain_only boolean not null,
    last_error text not null default '',
    last_success_time timestamptz
);

-- What a webhook is to be told: written with the change that it tells of, and kept as long as its alert, so that nothing
-- is told twice and the end is told to whoever was told the beginning.
create table deliveries (
    number bigint generated always as identity primary key,
    id uuid not null unique,
    webhook text not null references webhooks on delete cascade,
    alert bigint not null references alerts on delete cascade,
    kind text not null check (kind in ('opened', 'escalated', 'resolved', 'retrain')),
    severity smallint not null,
    body text not null,
    state text not null default 'waiting' check (state in ('waiting', 'delivered', 'dead')),
    attempts int not null default 0,
    create_time timestamptz not null,
    next_time timestamptz not null,
    unique (webhook, alert, kind, severity)
);
create index deliveries_of_alert on deliveries (alert);
create index deliveries_waiting on deliveries (webhook, alert, number) where state = 'waiting';

-- What a new installation watches for. They are rules like any other: replaced or deleted, they do not come back.
insert into alert_rules (name, model, signal, at_least, above, hold, window_length, severity, min_rows) values
    ('drift-high', '*', 'drift', 3, null, '0', null, null, 0),
    ('quality-high', '*', 'quality', 3, null, '0', null, null, 0),
    ('error-rate', '*', 'error_rate', null, 0.05, '5 minutes', '5 minutes', 3, 100),
    ('lost-batches', '*', 'lost_batches', null, 0, '0', '5 minutes', 3, 0),
    ('dropped-predictions', '*', 'dropped_predictions', null, 0, '5 minutes', '5 minutes', 2, 0);
