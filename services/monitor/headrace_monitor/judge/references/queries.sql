-- Every query of the references, by name.

-- name: by_number
select * from drift_references where number = $1;

-- name: lock_version
-- Two replicas that freeze the same version do so one after the other.
select pg_advisory_xact_lock(hashtextextended($1 || '/' || $2, 7));

-- name: newest
-- What FreezeReference need not freeze again.
select number, source, name, seasonal from drift_references
where model = $1 and version = $2 order by number desc limit 1;

-- name: add
insert into drift_references
    (model, version, source, name, seasonal, start_time, end_time, rows, content, since, client, freeze_time)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
returning number;

-- name: note_files
-- What is in the log already is due. A file that a merged one has replaced is in the windows when that one is.
insert into window_files (reference, file, waiting) select $1, id, not replaced
from log_files
where model = $2 and version = $3 and hour >= $4 and not (replaced and merged);

-- name: unreferenced
-- Versions with traffic that have no reference and may be tried.
select distinct model, version from log_files
where not exists (select from drift_references d where (d.model, d.version) = (log_files.model, log_files.version))
  and not exists (select from reference_attempts a
                  where (a.model, a.version) = (log_files.model, log_files.version) and again_time > $1)
order by model, version limit $2;

-- name: note_attempt
insert into reference_attempts (model, version, problem, again_time) values ($1, $2, $3, $4)
on conflict (model, version) do update set problem = excluded.problem, again_time = excluded.again_time;

-- name: forget_attempt
delete from reference_attempts where model = $1 and version = $2;

-- name: attempt
select problem from reference_attempts where model = $1 and version = $2;
