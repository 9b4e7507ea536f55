-- Every query about alerts, by name. A query ends where the next one begins.

-- name: put_observations
-- Those that are there already stay as they are. In one order, so that two writers wait for each other at most once.
insert into observations (model, version, signal, window_start, window_end, value, rows, severity, summary)
select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::float8[],
                     $7::bigint[], $8::smallint[], $9::text[])
on conflict (model, version, signal, window_end, window_start) do nothing;

-- name: lock
-- A transaction that changes rules, alerts or notifications waits here until the one before it ends.
select pg_advisory_xact_lock($1);

-- name: try_lock
select pg_try_advisory_xact_lock($1);

-- name: now
-- One clock for all replicas: that of the database.
select now();

-- name: wake
select pg_notify('monitor_alerts', '');

-- name: rules
select * from alert_rules order by name;

-- name: rule
select * from alert_rules where name = $1;

-- name: put_rule
insert into alert_rules (name, model, signal, at_least, above, below, hold, window_length, severity, freezes, retrains,
                         min_rows, client, revision)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, nextval('alert_changes'))
on conflict (name) do update set
    (model, signal, at_least, above, below, hold, window_length, severity, freezes, retrains, min_rows, revision)
    = (excluded.model, excluded.signal, excluded.at_least, excluded.above, excluded.below, excluded.hold,
       excluded.window_length, excluded.severity, excluded.freezes, excluded.retrains, excluded.min_rows,
       excluded.revision)
returning *;

-- name: delete_rule
-- Its series go with it.
delete from alert_rules where name = $1;

-- name: count_rules
select count(*), count(*) filter (where client = $1) from alert_rules;

-- name: pending_observations
-- In the order of time: what comes late comes after what it belongs before only when that was judged already.
select * from observations where not judged order by window_end, id limit $1;

-- name: earlier
-- What came before a chunk of observations, of the same models, versions and signals, each as far back as a rule needs.
select observations.*
from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) as asked (model, version, signal, since)
join observations using (model, version, signal)
where window_end > since and window_end <= $5;

-- name: mark_evaluated
update observations set judged = true where id = any($1::bigint[]);

-- name: oldest_pending
-- How long the observation that has waited longest has waited, in seconds.
select coalesce(extract(epoch from clock_timestamp() - min(put_time)), 0)::float8 from observations where not judged;

-- name: expire_observations
delete from observations
where id in (select id from observations where judged and put_time < now() - $1::interval order by put_time limit $2);

-- name: series
-- How rules stand with these versions of models.
select alert_series.* from alert_series
join (select distinct * from unnest($1::text[], $2::text[]) as asked (model, version)) as asked using (model, version);

-- name: put_series
insert into alert_series (rule, model, version, revision, seen, quiet_after, holding, since, muted)
select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::timestamptz[],
                     $7::boolean[], $8::timestamptz[], $9::boolean[])
on conflict (rule, model, version) do update set
    (revision, seen, quiet_after, holding, since, muted)
    = (excluded.revision, excluded.seen, excluded.quiet_after, excluded.holding, excluded.since, excluded.muted);

-- name: expire_series
-- Of versions that nobody asks any more.
delete from alert_series
where quiet_after < now() - $1::interval
  and not exists (select from alerts where (alerts.rule, alerts.model, alerts.version)
                  = (alert_series.rule, alert_series.model, alert_series.version) and resolve_time is null);

-- name: gone_quiet
-- Open alerts without data for long that are not marked as such yet.
select alerts.*, alert_series.revision, seen, quiet_after, holding, since, muted
from alerts join alert_series using (rule, model, version)
where resolve_time is null and quiet_since is null and quiet_after < now()
limit $1;

-- name: open_alerts
select * from alerts where resolve_time is null order by id;

-- name: open_alerts_of_versions
select alerts.* from alerts
join (select distinct * from unnest($1::text[], $2::text[]) as asked (model, version)) as asked using (model, version)
where resolve_time is null;

-- name: open_alerts_of_rule
select * from alerts where rule = $1 and resolve_time is null;

-- name: alert
select *, exists (select from silences where silences.model in ('*', alerts.model)
                  and silences.rule in ('', alerts.rule) and expire_time > now()) as silenced
from alerts where id = $1;

-- name: insert_alert
insert into alerts (rule, model, version, subject, signal, severity, summary, value, freezes, retrains, open_time,
                    resolve_time, quiet_since)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
returning id;

-- name: update_alert
update alerts set (severity, summary, value, freezes, retrains, resolve_time, quiet_since, sequence)
    = ($2, $3, $4, $5, $6, $7, $8, nextval('alert_changes'))
where id = $1;

-- name: touch_silenced
-- Open alerts that a silence is about: whether they are silenced is a change that watches tell.
update alerts set sequence = nextval('alert_changes')
where resolve_time is null and $1 in ('*', model) and $2 in ('', rule);

-- name: expire_alerts
delete from alerts
where id in (select id from alerts where resolve_time < now() - $1::interval order by resolve_time limit $2);

-- name: alerts
-- A page, latest first. Models: null for every one.
select *, exists (select from silences where silences.model in ('*', alerts.model)
                  and silences.rule in ('', alerts.rule) and expire_time > now()) as silenced
from alerts
where id < $1 and ($2::text is null or model = $2) and ($3::boolean is null or $3 = (resolve_time is null))
order by id desc limit $4;

-- name: open_shown
-- A page of open alerts by id, as callers see them.
select *, exists (select from silences where silences.model in ('*', alerts.model)
                  and silences.rule in ('', alerts.rule) and expire_time > now()) as silenced
from alerts where resolve_time is null and id > $1 order by id limit $2;

-- name: changed_since
-- In the order in which the changes became visible.
select *, exists (select from silences where silences.model in ('*', alerts.model)
                  and silences.rule in ('', alerts.rule) and expire_time > now()) as silenced
from alerts where sequence > $1 order by sequence limit $2;

-- name: position
-- How far the alerts are. The sequence itself runs ahead of what can be seen.
select incarnation, (select coalesce(max(sequence), 0) from alerts) as sequence from store;

-- name: silences
select * from silences where expire_time > now() order by id;

-- name: silence
select * from silences where id = $1;

-- name: count_silences
select count(*), count(*) filter (where client = $1) from silences;

-- name: insert_silence
insert into silences (model, rule, expire_time, comment, client) values ($1, $2, $3, $4, $5) returning id;

-- name: delete_silence
delete from silences where id = $1;

-- name: end_silences
-- Those whose time is over.
delete from silences where expire_time <= now() returning *;

-- name: open_counts
select model, severity, count(*) from alerts where resolve_time is null group by model, severity;

-- name: reporter
-- The service's last report, while it holds.
select epoch from alert_reporters where reporter = $1 and expire_time > now();

-- name: put_reporter
insert into alert_reporters (reporter, epoch, expire_time) values ($1, $2, now() + $3::interval)
on conflict (reporter) do update set (epoch, expire_time) = (excluded.epoch, excluded.expire_time);

-- name: expired_reporters
select reporter from alert_reporters where expire_time <= now() order by reporter;

-- name: delete_reporter
-- What it reported goes with it.
delete from alert_reporters where reporter = $1;

-- name: reported
select rule, subject from reported_alerts where reporter = $1;

-- name: open_alerts_of_reporter
select alerts.* from alerts
join reported_alerts using (rule, subject)
where reporter = $1 and model = '*' and version = '' and resolve_time is null;

-- name: delete_reported
delete from reported_alerts where reporter = $1;

-- name: put_reported
insert into reported_alerts (reporter, rule, subject) select $1, * from unnest($2::text[], $3::text[]);

-- name: webhooks
select * from webhooks order by name;

-- name: narrow_webhook
update webhooks set (at_least, retrain_only) = ($2, $3) where name = $1;

-- name: sent_notifications
-- What was sent of these alerts, delivered or not.
select webhook, alert, once from deliveries where alert = any($1::bigint[]);
