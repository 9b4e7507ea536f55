-- Serving settings may change after registration; the history keeps those before and after.
-- Code from before it goes on working: every new column has a default.

alter table versions add column serving_revision int not null default 1;
drop trigger versions_immutable on versions;
create trigger versions_immutable before update on versions
    for each row when (
        (to_jsonb(old) - array['stage', 'collect_time', 'serving', 'serving_revision'])
        is distinct from (to_jsonb(new) - array['stage', 'collect_time', 'serving', 'serving_revision'])
    )
    execute function refuse_change();

alter table events add column serving_change jsonb;
