-- Rate limits are the router's. Those of this database are handed over to it once; a monitor of 0.1.0 beside this one goes
-- on reading them, and its writes fail rather than be lost.
create table rate_limits_handed_over (
    only_row boolean primary key default true check (only_row),
    handed_over_time timestamptz not null default now()
);

create function refuse_rate_limits() returns trigger language plpgsql as $$
begin
    raise exception 'rate limits are the router''s: a newer monitor passes them on' using errcode = 'cannot_connect_now';
end
$$;
create trigger refuse_rate_limits before insert or update or delete on rate_limits
    for each statement execute function refuse_rate_limits();
