-- Each line of a model's history carries a digest of itself and of the line before it, so that whoever changes one, with
-- whatever rights, has to change all that follow; `python -m headrace_registry verify` finds the first that does not fit.

-- Columns by name: one that is added later is not in the digests of lines that are there.
create function event_digest(before bytea, line events) returns bytea language sql stable as $$
    select sha256(coalesce(before, ''::bytea) || convert_to(jsonb_build_array(
        line.model, line.epoch, line.ordinal, line.action, line.version, line.from_stage, line.to_stage, line.alias,
        line.client, line.reason, (extract(epoch from line.create_time) * 1000000)::bigint, line.signature_breaks,
        line.serving_change, line.promotion_request
    )::text, 'UTF8'))
$$;

alter table events add column chain bytea;

-- The lines that are there.
alter table events disable trigger events_append_only;
do $$
declare
    line events;
    before bytea;
    of_model text;
begin
    for line in select * from events order by model, epoch, ordinal loop
        if line.model is distinct from of_model then
            before := null;
            of_model := line.model;
        end if;
        before := event_digest(before, line);
        update events set chain = before
        where model = line.model and epoch = line.epoch and ordinal = line.ordinal;
    end loop;
end $$;
alter table events enable trigger events_append_only;
alter table events alter column chain set not null;

-- Whoever writes: the release before too, and a backup from before there were digests. A model's lines are written one
-- after the other, under the lock of its row.
create function chain_event() returns trigger language plpgsql as $$
begin
    if new.chain is null then
        new.chain := event_digest(
            (select chain from events where model = new.model order by epoch desc, ordinal desc limit 1), new);
    end if;
    return new;
end $$;
create trigger events_chained before insert on events for each row execute function chain_event();
