-- Every query of the outbox, by name.

-- name: waiting
select webhook, count(*) from deliveries where state = 'waiting' group by webhook;

-- name: insert
-- Nothing for a webhook that somebody has deleted since it was read.
insert into deliveries (id, webhook, topic, once, body, state, create_time, next_try)
select $1::uuid, name, $3::text, $4::text, $5::text, $6::text, now(), now()
from webhooks where name = $2 for key share
on conflict (webhook, topic, once) do nothing;

-- name: hurry
update deliveries set next_try = now() where webhook = $1 and state = 'waiting';

-- name: receivers
select name, url, secret, format from webhooks where name = any($1::text[]);

-- name: delivered
-- This and what follows: unless somebody else has claimed it since.
update deliveries set state = 'delivered' where number = $1 and claims = $2 and state = 'waiting';

-- name: put_off
update deliveries set next_try = clock_timestamp() + $3::interval, claimed_until = null
where number = $1 and claims = $2 and state = 'waiting';

-- name: give_up
update deliveries set state = 'dead' where number = $1 and claims = $2 and state = 'waiting';

-- name: succeeded
update webhooks set last_error = '', last_success_time = now() where name = $1;

-- name: failed
update webhooks set last_error = $2 where name = $1;

-- name: waiting_in_all
select count(*) from deliveries where state = 'waiting';

-- name: webhooks_of_model
select name from webhooks where model in ('', $1) order by name;

-- name: has_webhook
select exists (select from webhooks where name = $1);

-- name: webhook
select webhooks.*, (select count(*) from deliveries where webhook = webhooks.name and state = 'waiting') as waiting
from webhooks where name = $1;

-- name: webhooks
-- Those of people, without whoever collects lineage, as the next one counts them.
select webhooks.*, (select count(*) from deliveries where webhook = webhooks.name and state = 'waiting') as waiting
from webhooks where format <> 'open_lineage' order by name;

-- name: put_webhook
insert into webhooks (name, url, secret, format, model, client) values ($1, $2, $3, $4, $5, $6)
on conflict (name) do update set (url, secret, format, model)
    = (excluded.url, excluded.secret, excluded.format, excluded.model);

-- name: count_webhooks
select count(*), count(*) filter (where client = $1) from webhooks where format <> 'open_lineage';

-- name: delete_webhook
-- With everything that was not sent to it yet.
delete from webhooks where name = $1;
