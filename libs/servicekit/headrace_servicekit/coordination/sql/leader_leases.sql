-- Who leads which work. fence: counts leaders. It is in a key so that a change of it waits for writes under the one
-- before (`for key share`), and a renewal does not.
create table leader_leases (
    name text primary key,
    holder uuid not null,
    fence bigint not null,
    until_time timestamptz not null,
    unique (name, fence)
);
