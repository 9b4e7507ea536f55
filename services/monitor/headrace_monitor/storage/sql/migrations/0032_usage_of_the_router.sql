-- Usage and budgets are the router's. Those of this database are handed over to it once; a monitor of 0.1.0 beside this one
-- goes on reading them, and its writes fail rather than be lost or counted twice: batchers send their reports again.
create table usage_handed_over (
    only_row boolean primary key default true check (only_row),
    handed_over_time timestamptz not null default now()
);

create function refuse_usage() returns trigger language plpgsql as $$
begin
    raise exception 'usage and budgets are the router''s: a newer monitor passes them on' using errcode = 'cannot_connect_now';
end
$$;
create trigger refuse_usage before insert or update or delete on usage_hours for each statement execute function refuse_usage();
create trigger refuse_usage before insert or update or delete on usage_pools for each statement execute function refuse_usage();
create trigger refuse_usage before insert or update or delete on usage_processes
    for each statement execute function refuse_usage();
create trigger refuse_usage before insert or update or delete on budgets for each statement execute function refuse_usage();
