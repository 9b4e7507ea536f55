-- include: headrace_servicekit.outbox.sql outbox.sql

-- Of which model a webhook is told; empty for every model. A topic is a model, of which each line of history is told once.
alter table webhooks add model text not null default '';
