-- name: files
select * from log_files
where model = $1 and ($2::text is null or version = $2) and not replaced
    and hour > $3::timestamptz - interval '1 hour' and hour < $4 and max_answer_time >= $3 and min_answer_time < $4
order by hour, id;

-- name: derivable
select * from log_files where id > $1 and not merged order by id limit $2;

-- name: models
select distinct model from log_files where not replaced order by model;
