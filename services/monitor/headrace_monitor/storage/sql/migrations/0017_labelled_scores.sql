-- Scores of an hour's labelled rows with their answers, statistics as text, zlib: calibrations pool them over hours.
alter table performance_hours add column scores bytea;
