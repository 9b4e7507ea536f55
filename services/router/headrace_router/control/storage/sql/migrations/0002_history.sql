-- The history of a route is read in pages: a number that grows with every change that begins. Times do not do, for control
-- planes have clocks of their own. Inserts of earlier code name no number and get one all the same.
create sequence changes_number;
alter table changes add column number bigint;
update changes set number = ordered.number
from (select id, row_number() over (order by begun_at, id) as number from changes) as ordered
where ordered.id = changes.id;
select setval('changes_number', (select coalesce(max(number), 0) + 1 from changes), false);
alter table changes alter column number set default nextval('changes_number'), alter column number set not null;
alter sequence changes_number owned by changes.number;
create unique index changes_by_number on changes (model, number desc);
drop index changes_by_model;
