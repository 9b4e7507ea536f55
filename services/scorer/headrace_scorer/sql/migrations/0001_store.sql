-- Which store this is: another one after a backup was put in its place.
create table store (
    incarnation uuid not null default gen_random_uuid(),
    create_time timestamptz not null default now()
);
create unique index one_row on store ((true));
insert into store default values;
