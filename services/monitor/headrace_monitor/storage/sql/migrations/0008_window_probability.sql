-- With which probability the rows of a window are in the log. Of windows that are there it was not kept; most rows have 1.
alter table windows add column probability double precision not null default 1;
alter table windows
    drop constraint windows_pkey,
    add primary key (reference, start_time, seconds, variant, source, probability);
