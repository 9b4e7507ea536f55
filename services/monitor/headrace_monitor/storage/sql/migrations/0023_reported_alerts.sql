-- What an alert is about where that is no model. The release before writes none.
alter table alerts add column subject text not null default '';
create unique index alerts_open_by_subject on alerts (rule, model, version, subject) where resolve_time is null;
drop index alerts_open;

-- Services that report alerts by themselves: until when the last report of each holds.
create table alert_reporters (
    reporter text primary key,
    epoch bigint not null,
    expire_time timestamptz not null
);

-- What each of them reported last. What is here and has no open alert was resolved by hand.
create table reported_alerts (
    reporter text not null references alert_reporters on delete cascade,
    rule text not null,
    subject text not null,
    primary key (reporter, rule, subject)
);
