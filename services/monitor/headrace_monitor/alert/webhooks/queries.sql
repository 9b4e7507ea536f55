-- Every query about webhooks and what they are told, by name. A query ends where the next one begins.

-- name: webhooks
select * from webhooks order by name;

-- name: webhook
select * from webhooks where name = $1;

-- name: put_webhook
insert into webhooks (name, url, secret, format, at_least, model, retrain_only, client)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (name) do update set (url, secret, format, at_least, model, retrain_only)
    = (excluded.url, excluded.secret, excluded.format, excluded.at_least, excluded.model, excluded.retrain_only);

-- name: delete_webhook
-- With everything that it was not told yet.
delete from webhooks where name = $1;

-- name: count_webhooks
select count(*), count(*) filter (where client = $1) from webhooks;

-- name: statuses
select webhooks.*, (select count(*) from deliveries where webhook = webhooks.name and state = 'waiting') as waiting
from webhooks order by name;

-- name: told
-- What was told of these alerts, delivered or not.
select webhook, alert, once from deliveries where alert = any($1::bigint[]);
