-- The outbox of `headrace_servicekit.outbox`. A topic is an alert, of which each kind and severity is told once.
alter table deliveries rename attempts to claims;
alter table deliveries rename next_time to next_try;
alter table deliveries add claimed_until timestamptz, add topic text, add once text;
update deliveries set topic = alert::text, once = kind || '/' || severity;
alter table deliveries
    alter topic set not null, alter once set not null, drop alert, drop kind, drop severity,
    add unique (webhook, topic, once);
-- It is kept as long as its alert.
alter table deliveries add alert bigint generated always as (topic::bigint) stored references alerts on delete cascade;
create index deliveries_of_alert on deliveries (alert);
create index deliveries_waiting on deliveries (webhook, topic, number) where state = 'waiting';
