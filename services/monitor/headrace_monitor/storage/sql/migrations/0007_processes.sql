-- When a process was first heard of. Of those that are there nobody knows: they took nobody's place.
alter table counter_processes add column first_time timestamptz not null default '-infinity';
alter table counter_processes alter column first_time set default now();

-- Who took the place of whom, and how many there are of a data plane.
create index counter_processes_by_data_plane on counter_processes (data_plane, first_time);
create index log_processes_by_data_plane on log_processes (data_plane, first_time);
