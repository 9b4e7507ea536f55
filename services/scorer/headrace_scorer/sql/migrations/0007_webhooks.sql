-- Of which model a webhook is told; empty for every model. Who collects lineage is told of none in this way.
alter table webhooks add model text not null default '';
update webhooks set model = '.lineage' where name = 'lineage';
