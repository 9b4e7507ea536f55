-- stopped: it ended since it did harm. reported: alarms that webhooks were told of. look_time: when it was last analysed
-- without being asked.
alter table experiments
    add stopped boolean not null default false, add reported text[] not null default '{}', add look_time timestamptz;
-- Deliveries are of alerts, whose topic is a number, and of experiments.
alter table deliveries drop alert;
alter table deliveries add alert bigint
    generated always as (case when topic ~ '^[0-9]+$' then topic::bigint end) stored references alerts on delete cascade;
create index deliveries_of_alert on deliveries (alert);
