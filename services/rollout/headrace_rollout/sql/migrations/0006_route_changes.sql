-- Routes that are written for experiments which have not yet said that they run with those shares. before: the route as it was
-- read. A row whose claim has ended belongs to a start that failed, or to a process that died: the route is given back.
create table route_changes (
    experiment text primary key,
    before jsonb not null,
    claims int not null default 0,
    claimed_until timestamptz
);
