-- Every query on schedules, by name.

-- name: now
select clock_timestamp();

-- name: count
select count(*) as used, count(*) filter (where document->>'client' = $1) as held from schedules;

-- name: schedule
select *, clock_timestamp() as read_time from schedules where model = $1 and id = $2;

-- name: schedules
select * from schedules where $1 = '' or model = $1 order by model, id;

-- name: insert
insert into schedules (model, id, document) values ($1, $2, $3) on conflict do nothing returning revision;

-- name: update
-- Nothing when somebody else changed it since.
update schedules set document = $4, revision = revision + 1 where model = $1 and id = $2 and revision = $3 returning revision;

-- name: delete
delete from schedules where model = $1 and id = $2;

-- name: insert_decision
insert into schedule_decisions (model, id, number, create_time, time, job, skipped, reason)
select $1, $2, coalesce(max(number), 0) + 1, $3, $4, $5, $6, $7 from schedule_decisions where model = $1 and id = $2;

-- name: forget_decisions
-- All but the latest.
delete from schedule_decisions where model = $1 and id = $2 and number <= (
    select max(number) - 100 from schedule_decisions where model = $1 and id = $2
);

-- name: decisions
select * from schedule_decisions where model = $1 and id = $2 order by number desc limit $3;
