-- Experiments. definition: what was decided before the start; phases: times of constant shares.
create table experiments (
    model text not null,
    id text not null,
    definition jsonb not null,
    owner text not null,
    create_time timestamptz not null,
    state text not null,
    phases jsonb not null,
    end_time timestamptz,
    end_reason text not null default '',
    primary key (model, id)
);
