-- Which database this is: made with it, and again when a backup takes its place.
create table store (
    one boolean primary key default true check (one),
    incarnation uuid not null default gen_random_uuid()
);
insert into store default values;
