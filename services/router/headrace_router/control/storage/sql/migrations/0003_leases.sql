-- Versions that somebody needs ready in a pool for a while, whether a route names them or not.
create table leases (
    pool text not null,
    digest text not null,
    holder text not null,
    model text not null,
    version text not null,
    expires_at timestamptz not null,
    primary key (pool, digest, holder)
);
