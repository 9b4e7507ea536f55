-- A purge of the cache is repeatable too: its request names the version instead of a change.
alter table requests alter column change drop not null;
alter table requests add column version text;

-- States say which writers keep all that is in them (`needs`), and who wrote them (`writer`; the releases before say
-- nothing, and count as 1). A control plane that would drop what it does not know is refused, as if the database were
-- away for it: another one writes, and readers notice nothing.
create function refuse_writers_that_drop() returns trigger language plpgsql as $$
begin
    if coalesce((new.state->>'writer')::int, 1) < coalesce((old.state->>'needs')::int, 1) then
        raise exception 'the state of % needs a newer control plane', old.model using errcode = 'cannot_connect_now';
    end if;
    return new;
end
$$;
create trigger refuse_writers_that_drop before update on routes
    for each row execute function refuse_writers_that_drop();
