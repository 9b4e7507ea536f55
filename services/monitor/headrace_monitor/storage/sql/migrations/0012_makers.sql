-- Who made a rule or a webhook: each client has its share of those that there may be. Empty: made by a release that did not
-- note it.
alter table alert_rules add column client text not null default '';
alter table webhooks add column client text not null default '';
