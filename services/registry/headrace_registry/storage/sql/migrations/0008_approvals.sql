-- Promotions that others must agree to.

-- Whose agreement is asked for; null for nobody's.
alter table models add column approvals jsonb;

-- Number of the request that a line of history is about, or that took effect; 0 for none.
alter table events add column promotion_request bigint not null default 0;

-- number: the epoch of the model that the request made. state and over: as in the document.
create table promotion_requests (
    model    text collate "C" not null references models,
    number   bigint not null,
    state    text not null,
    over     boolean not null,
    document jsonb not null,
    primary key (model, number)
);
create index promotion_requests_open on promotion_requests (model, number) where not over;
create index promotion_requests_state on promotion_requests (state, model, number);
