-- Answers beside those of shadows, by the hour in which they were reported.
create table shadow_comparisons (
    model text not null,
    version text not null,
    shadow_version text not null,
    hour timestamptz not null,
    comparison text not null,
    primary key (model, version, shadow_version, hour)
);
create index shadow_comparisons_by_time on shadow_comparisons (hour);
