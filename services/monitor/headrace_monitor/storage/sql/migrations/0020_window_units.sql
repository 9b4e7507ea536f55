-- Rows by the user or request that they belong to, and how much alike these are: statistics as text, zlib. Null where an
-- older release wrote the window.
alter table windows add column units bytea;
