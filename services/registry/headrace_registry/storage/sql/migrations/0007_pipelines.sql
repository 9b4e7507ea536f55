-- Versions that are pipelines of others: their steps, and what each runs.

alter table versions add column composition jsonb;
