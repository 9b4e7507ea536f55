-- Each line of a route's history carries a digest of itself and of the line before it: one as a change begins, one as it
-- ends, as changes of a route begin while others wait. Whoever changes one, with whatever rights, has to change all that
-- follow; `python -m headrace_router.control verify` finds the first that does not fit.

alter table changes add column begin_line bigint, add column begin_chain bytea,
    add column end_line bigint, add column end_chain bytea;

-- Columns by name: one that is added later is not in the digests of lines that are there. The change itself is in the
-- line of its end only: what a registry says while it waits may still alter it.
create function begin_digest(before bytea, line changes) returns bytea language sql stable as $$
    select sha256(coalesce(before, ''::bytea) || convert_to(jsonb_build_array(
        line.model, line.begin_line, 'begun', line.number, line.id, line.kind, line.client, line.reason,
        (extract(epoch from line.begun_at) * 1000000)::bigint
    )::text, 'UTF8'))
$$;
create function end_digest(before bytea, line changes) returns bytea language sql stable as $$
    select sha256(coalesce(before, ''::bytea) || convert_to(jsonb_build_array(
        line.model, line.end_line, 'ended', line.number, line.id, line.change, line.outcome, line.outcome_reason,
        line.generation, (extract(epoch from line.ended_at) * 1000000)::bigint
    )::text, 'UTF8'))
$$;

-- The lines that are there: each change with its end.
do $$
declare
    line changes;
    before bytea;
    at bigint;
    of_model text;
begin
    for line in select * from changes order by model, number loop
        if line.model is distinct from of_model then
            before := null;
            at := 0;
            of_model := line.model;
        end if;
        at := at + 1;
        line.begin_line := at;
        before := begin_digest(before, line);
        line.begin_chain := before;
        if line.outcome is not null then
            at := at + 1;
            line.end_line := at;
            before := end_digest(before, line);
            line.end_chain := before;
        end if;
        update changes set begin_line = line.begin_line, begin_chain = line.begin_chain, end_line = line.end_line,
            end_chain = line.end_chain
        where id = line.id;
    end loop;
end $$;
alter table changes alter column begin_line set not null, alter column begin_chain set not null;
create unique index changes_by_begin on changes (model, begin_line desc);
create unique index changes_by_end on changes (model, end_line desc) where end_line is not null;

create function last_line(of_model text, out line bigint, out chain bytea) language sql stable as $$
    select found.line, found.chain from (
        (select begin_line as line, begin_chain as chain from changes where model = of_model order by begin_line desc limit 1)
        union all
        (select end_line, end_chain from changes where model = of_model and end_line is not null
         order by end_line desc limit 1)
    ) as found order by found.line desc limit 1
$$;

-- Whoever writes: the release before too, and a backup from before there were digests. A route's lines are written one
-- after the other, under the lock of the one row of `store`.
create function chain_change() returns trigger language plpgsql as $$
declare
    at bigint;
    before bytea;
begin
    if tg_op = 'UPDATE' then
        if old.outcome is not null or (new.id, new.model, new.number, new.kind, new.client, new.reason, new.begun_at,
                new.begin_line, new.begin_chain) is distinct from (old.id, old.model, old.number, old.kind, old.client,
                old.reason, old.begun_at, old.begin_line, old.begin_chain) then
            raise exception 'the history of routes is not changed' using errcode = 'integrity_constraint_violation';
        end if;
    elsif new.begin_chain is null then
        select line, chain into at, before from last_line(new.model);
        new.begin_line := coalesce(at, 0) + 1;
        new.begin_chain := begin_digest(before, new);
    end if;
    if new.outcome is not null and new.end_chain is null then
        -- A row that is inserted as it ended, from a backup, is not there yet.
        select line, chain into at, before from last_line(new.model);
        if tg_op = 'INSERT' then
            at := new.begin_line;
            before := new.begin_chain;
        end if;
        new.end_line := at + 1;
        new.end_chain := end_digest(before, new);
    end if;
    return new;
end $$;
create trigger changes_chained before insert or update on changes for each row execute function chain_change();

create function refuse_removal() returns trigger language plpgsql as $$
begin
    raise exception 'the history of routes is not changed' using errcode = 'integrity_constraint_violation';
end $$;
create trigger changes_kept before delete on changes for each row execute function refuse_removal();
