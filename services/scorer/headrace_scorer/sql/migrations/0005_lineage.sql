-- include: headrace_servicekit.outbox.sql outbox.sql

-- Whoever collects lineage is a webhook of this service's own format.
alter table webhooks drop constraint webhooks_format_check;
alter table webhooks add check (format in ('cloud_event', 'slack', 'pagerduty', 'open_lineage'));
