-- At most one fact of a kind per row of a prediction. Prediction ids are UUIDv7, which sort by their time: a time is a range
-- of the key.
create table outcomes (
    model text not null,
    prediction_id uuid not null,
    row_number int not null,
    kind text not null,
    number double precision,
    text text,
    observe_time timestamptz not null,
    record_time timestamptz not null,
    client text not null,
    -- What it corrected, the latest first, a bounded number.
    replaced jsonb not null default '[]',
    primary key (model, prediction_id, row_number, kind),
    check (num_nonnulls(number, text) = 1)
);

-- Facts that are new or corrected and have not met their prediction in the log yet. first: no correction.
create table outcome_arrivals (
    id bigint generated always as identity primary key,
    model text not null,
    prediction_id uuid not null,
    row_number int not null,
    kind text not null,
    first boolean not null,
    arrive_time timestamptz not null,
    next_try timestamptz not null
);
create index on outcome_arrivals (next_try, id);

-- Facts about entities. Kept after they are joined, so that one that is told again is known again.
create table entity_outcomes (
    model text not null,
    entity_id text not null,
    row_number int not null,
    kind text not null,
    observe_time timestamptz not null,
    number double precision,
    text text,
    record_time timestamptz not null,
    client text not null,
    -- How old the prediction may be.
    reach interval not null,
    state text not null default 'waiting' check (state in ('waiting', 'joined', 'given_up')),
    prediction_id uuid,
    next_try timestamptz not null,
    primary key (model, entity_id, kind, row_number, observe_time),
    check (num_nonnulls(number, text) = 1)
);
create index on entity_outcomes (next_try) where state = 'waiting';
create index on entity_outcomes (observe_time);

-- The error-rate detector of a version, with every label that it has taken in.
create table error_watches (
    model text not null,
    version text not null,
    state text not null,
    update_time timestamptz not null,
    primary key (model, version)
);

-- Hours of predictions about which something new is known. touches: tells whether more came while it was looked at.
create table touched_hours (
    model text not null,
    hour timestamptz not null,
    touches bigint not null default 1,
    next_try timestamptz not null,
    primary key (model, hour)
);
create index on touched_hours (next_try);

-- Hours that were looked at once, whether or not they had predictions.
create table looked_hours (
    model text not null,
    hour timestamptz not null,
    primary key (model, hour)
);

-- How good the predictions of an hour were, as far as it was known when it was last looked at.
create table performance_hours (
    model text not null,
    hour timestamptz not null,
    version text not null,
    variant text not null,
    predictions double precision not null,
    labelled double precision not null,
    measures jsonb not null,
    -- Errors by column and value: {column: {value: [errors, labels]}}.
    slices jsonb not null,
    update_time timestamptz not null,
    primary key (model, hour, version, variant)
);

-- Chance of being right by score, fitted on labelled predictions of a version.
create table calibrations (
    model text not null,
    version text not null,
    calibration text not null,
    rows bigint not null,
    update_time timestamptz not null,
    primary key (model, version)
);
