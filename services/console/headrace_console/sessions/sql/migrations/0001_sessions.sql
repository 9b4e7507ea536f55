-- Who is signed in, and who is about to be. The content is sealed with a key that only the browser's cookie has.
create table sessions (
    digest bytea primary key,
    kind text not null check (kind in ('session', 'sign-in')),
    sealed bytea not null,
    expire_time timestamptz not null
);
create index sessions_by_expiry on sessions (expire_time);

-- One-time links of the development issuer that have been used, until they would have expired anyway.
create table spent_links (
    id text primary key,
    expire_time timestamptz not null
);
