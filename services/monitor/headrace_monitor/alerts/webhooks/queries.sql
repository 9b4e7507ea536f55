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

-- name: hurry
-- What waits for a webhook is tried at once, now that the webhook is another.
update deliveries set next_time = now() where webhook = $1 and state = 'waiting';

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
select webhook, alert, kind, severity from deliveries where alert = any($1::bigint[]);

-- name: waiting
select webhook, count(*) from deliveries where state = 'waiting' group by webhook;

-- name: insert_delivery
insert into deliveries (id, webhook, alert, kind, severity, body, state, create_time, next_time)
values ($1, $2, $3, $4, $5, $6, $7, now(), now())
on conflict (webhook, alert, kind, severity) do nothing;

-- name: claim
-- The first that waits of each alert and webhook, if its time has come: what comes after it waits for it. It is taken by
-- putting its next attempt off ($3), so that whoever dies over it leaves it to another.
with heads as (
    select distinct on (webhook, alert) number, webhook, next_time from deliveries
    where state = 'waiting' and not webhook = any($1::text[])
    order by webhook, alert, number
), due as (
    select number, row_number() over (partition by webhook order by next_time, number) as place from heads
    where next_time <= clock_timestamp()
), taken as (
    select deliveries.number from deliveries join due using (number)
    where place <= $2 and state = 'waiting' and next_time <= clock_timestamp()
    order by number limit $4
    for update of deliveries skip locked
)
update deliveries set attempts = attempts + 1, next_time = clock_timestamp() + $3::interval
from taken, webhooks
where deliveries.number = taken.number and webhooks.name = deliveries.webhook
returning deliveries.*, webhooks.name, webhooks.url, webhooks.secret, webhooks.format, webhooks.at_least,
          webhooks.model, webhooks.retrain_only;

-- name: delivered
update deliveries set state = 'delivered' where number = $1 and state = 'waiting';

-- name: succeeded
update webhooks set last_error = '', last_success_time = now() where name = $1;

-- name: put_off
update deliveries set next_time = clock_timestamp() + $2::interval where number = $1 and state = 'waiting';

-- name: give_up
update deliveries set state = 'dead' where number = $1 and state = 'waiting';

-- name: failed
update webhooks set last_error = $2 where name = $1;

-- name: waiting_in_all
select count(*) from deliveries where state = 'waiting';
