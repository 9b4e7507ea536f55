-- held: whether the registry may still hold the version of the job. True from its creation until the registry has said, after
-- its end, that it does not: a release that meets a registry which is away is tried again until it is taken.
alter table scoring_jobs
    add held boolean not null default true,
    add claims int not null default 0,
    add claimed_until timestamptz;
-- Holds of jobs that ended before are over by themselves.
update scoring_jobs set held = false
where state in ('succeeded', 'failed', 'cancelled') and (document->>'end_time')::timestamptz < now() - interval '2 days';
create index over_and_held on scoring_jobs (id) where held and state in ('succeeded', 'failed', 'cancelled');
