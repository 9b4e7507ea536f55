-- How many requests a second a client may send to a model. outage: as in the API.
create table rate_limits (
    name text primary key,
    client text not null,
    model text not null,
    requests_per_second double precision not null,
    burst bigint not null,
    shadow_mode boolean not null,
    outage smallint not null
);
