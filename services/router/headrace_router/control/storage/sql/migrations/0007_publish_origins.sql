-- What computed the answers of a publish, as its client declared: name of the run, and digest of its manifest.
alter table publishes add column origin_run text not null default '', add column origin_manifest text not null default '';
