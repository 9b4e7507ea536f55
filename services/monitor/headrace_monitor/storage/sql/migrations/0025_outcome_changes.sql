-- The transaction that wrote a fact last: what came since somebody looked is read without reading all. Such numbers rise
-- with the place of a row, so that an index of ranges is enough; it costs writers next to nothing.
alter table outcomes add column change_number bigint not null default 0;
alter table outcomes alter column change_number set default pg_current_xact_id()::text::bigint;
create index outcomes_changed on outcomes using brin (change_number) with (autosummarize = on);
