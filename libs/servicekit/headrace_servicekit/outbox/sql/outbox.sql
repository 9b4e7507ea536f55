-- Receivers of notifications. A service adds columns that say of what.
create table webhooks (
    name text primary key,
    url text not null,
    secret text not null,
    format text not null check (format in ('cloud_event', 'slack', 'pagerduty')),
    client text not null default '',          -- who made it
    last_error text not null default '',      -- empty after a success
    last_success_time timestamptz
);

-- Notifications for a webhook, written with the change. topic: those of one topic are sent in order. once: at
-- most one of each is sent per topic. claims and claimed_until: of `headrace_servicekit.coordination.claims`.
create table deliveries (
    number bigint generated always as identity primary key,
    id uuid not null unique,
    webhook text not null references webhooks on delete cascade,
    topic text not null,
    once text not null,
    body text not null,
    state text not null default 'waiting' check (state in ('waiting', 'delivered', 'dead')),
    create_time timestamptz not null,
    next_try timestamptz not null,
    claims int not null default 0,
    claimed_until timestamptz,
    unique (webhook, topic, once)
);
create index deliveries_waiting on deliveries (webhook, topic, number) where state = 'waiting';
