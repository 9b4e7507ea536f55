-- An upload by URL stays until it expires, so that completing it can be repeated, and is open no longer: a pipeline may
-- make any number of them in that time.
alter table uploads add column completed boolean not null default false;
