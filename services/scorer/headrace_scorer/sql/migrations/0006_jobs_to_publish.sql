-- Looked through each second, without reading the jobs.
create index jobs_to_publish on scoring_jobs (id) where state = 'succeeded' and document #>> '{spec,publish}' is not null;
