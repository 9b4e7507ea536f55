-- Give the database of this connection to the role of its name, and to nobody else. Run by a superuser; safe to repeat.
-- {role} and {password} are put in by who runs it: components/postgres.py of the wheel stack, deploy/stores/postgres.
do $$ begin
    if not exists (select from pg_roles where rolname = '{role}') then create role "{role}"; end if;
end $$;

alter role "{role}" login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password '{password}';

alter database "{role}" owner to "{role}";

revoke all on database "{role}", "postgres", "template1" from public;

-- What an earlier release made is the superuser's; sequences of columns and indexes follow their tables.
do $$ declare
    statement text;
begin
    for statement in
        select format('alter table %s owner to %I', oid::regclass, '{role}') from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm') and relowner <> '{role}'::regrole
        union all
        select format('alter sequence %s owner to %I', oid::regclass, '{role}') from pg_class as sequence
        where relnamespace = 'public'::regnamespace and relkind = 'S' and relowner <> '{role}'::regrole
            and not exists (
                select from pg_depend
                where classid = 'pg_class'::regclass and objid = sequence.oid and deptype in ('a', 'i')
            )
        union all
        select format('alter routine %s owner to %I', oid::regprocedure, '{role}') from pg_proc
        where pronamespace = 'public'::regnamespace and proowner <> '{role}'::regrole
        union all
        select format('alter type %s owner to %I', oid::regtype, '{role}') from pg_type
        where typnamespace = 'public'::regnamespace and typtype in ('e', 'd') and typowner <> '{role}'::regrole
    loop
        execute statement;
    end loop;
end $$;
