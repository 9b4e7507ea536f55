-- Every query on publications, by name.

-- name: insert
-- Nothing when there is one already.
insert into publications (job, model, version_digest, state, document) values ($1, $2, $3, $4, $5)
on conflict do nothing returning job;

-- name: lock_job
-- The history of a job has one writer at a time.
select from scoring_jobs where id = $1 for update;

-- name: tell
insert into scoring_job_events (job, number, create_time, type, reason, client)
select $1, coalesce(max(number), 0) + 1, clock_timestamp(), $2, $3, $4 from scoring_job_events where job = $1;

-- name: publication
select *, clock_timestamp() as read_time from publications where job = $1;

-- name: update
-- Nothing when somebody else changed it since. frozen: null leaves it.
update publications set state = $3, document = $4, frozen = coalesce($5, frozen), publish_time = $6, revision = revision + 1
where job = $1 and revision = $2 returning revision;

-- name: wanting_work
select * from publications where state in ('checking', 'publishing') order by job;

-- name: unpublished
-- Jobs that say how they are published, and are over.
select id from scoring_jobs where state = 'succeeded' and document #>> '{spec,publish}' is not null
    and not exists (select from publications where job = id)
order by id limit 100;

-- name: in_force
-- What was published last for a version, but for the job's own.
select * from publications where model = $1 and version_digest = $2 and state = 'published' and job <> $3
order by publish_time desc limit 1;
