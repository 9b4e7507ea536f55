-- The hour of the labelled predictions: a label that comes late for an older one says nothing newer. Null: from a reference,
-- or kept by a release that does not know of it; older than any hour.
alter table calibrations add column hour timestamptz;
