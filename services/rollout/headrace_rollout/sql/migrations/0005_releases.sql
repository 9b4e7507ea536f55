-- held: whether services may still hold versions in the name of the rollout. True from its start until they have said, after
-- its end, that they do not: a release that meets a service which is away is tried again until it is taken.
alter table rollouts
    add held boolean not null default true,
    add claims int not null default 0,
    add claimed_until timestamptz;
update rollouts set held = false where not running;
create index ended_and_held on rollouts (id) where held and not running;
