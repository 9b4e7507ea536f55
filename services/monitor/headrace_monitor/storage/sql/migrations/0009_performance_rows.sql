-- How many rows of the log an hour was made of: of a sampled log fewer than it stands for. Of hours that are there it was
-- not kept; most logs are not sampled. 0 is what releases write that do not know of it: as good as not known.
alter table performance_hours add column rows bigint not null default 0;
update performance_hours set rows = round(predictions);
