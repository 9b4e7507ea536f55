-- Whoever collects lineage stands among the webhooks, in a format of its own, of no model.
alter table webhooks drop constraint webhooks_format_check;
alter table webhooks add check (format in ('cloud_event', 'slack', 'pagerduty', 'open_lineage'));
