-- Claims of `headrace_servicekit.coordination.claims`: next_try is when work is due, by the clock of who put it there.
alter table outcome_arrivals add claims int not null default 0, add claimed_until timestamptz;
alter table entity_outcomes add claims int not null default 0, add claimed_until timestamptz;
alter table touched_hours add claims int not null default 0, add claimed_until timestamptz;

-- until_time said both that a file waits and who is at it.
alter table window_files
    add claims int not null default 0, add claimed_until timestamptz, add waiting boolean not null default false;
update window_files set waiting = true where until_time is not null;
alter table window_files drop until_time, drop holder;
create index window_files_waiting on window_files (reference, file) where waiting;
