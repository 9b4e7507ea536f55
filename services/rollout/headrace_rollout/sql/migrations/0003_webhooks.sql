-- include: headrace_servicekit.outbox.sql outbox.sql

-- Of which model a webhook is told; empty for every model. A topic is a rollout, of which each event is told once.
alter table webhooks add model text not null default '';
