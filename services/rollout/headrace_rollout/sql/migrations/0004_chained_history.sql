-- Each event of a rollout carries a digest of itself and of the event before it, so that whoever changes one, with
-- whatever rights, has to change all that follow; `python -m headrace_rollout verify` finds the first that does not fit.

-- Columns by name: one that is added later is not in the digests of events that are there.
create function event_digest(before bytea, event rollout_events) returns bytea language sql stable as $$
    select sha256(coalesce(before, ''::bytea) || convert_to(jsonb_build_array(
        event.rollout, event.number, (extract(epoch from event.create_time) * 1000000)::bigint, event.type, event.reason,
        event.client, event.document
    )::text, 'UTF8'))
$$;

alter table rollout_events add column chain bytea;

-- The events that are there.
do $$
declare
    event rollout_events;
    before bytea;
    of_rollout bigint;
begin
    for event in select * from rollout_events order by rollout, number loop
        if event.rollout is distinct from of_rollout then
            before := null;
            of_rollout := event.rollout;
        end if;
        before := event_digest(before, event);
        update rollout_events set chain = before where rollout = event.rollout and number = event.number;
    end loop;
end $$;
alter table rollout_events alter column chain set not null;

-- Whoever writes: the release before too, and a backup from before there were digests. Events are written one after the
-- other, under the lock of the one row of `store`.
create function chain_event() returns trigger language plpgsql as $$
begin
    if new.chain is null then
        new.chain := event_digest(
            (select chain from rollout_events where rollout = new.rollout order by number desc limit 1), new);
    end if;
    return new;
end $$;
create trigger events_chained before insert on rollout_events for each row execute function chain_event();

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the history of rollouts is not changed' using errcode = 'integrity_constraint_violation';
end $$;
create trigger events_append_only before update or delete on rollout_events
    for each row execute function refuse_change();
