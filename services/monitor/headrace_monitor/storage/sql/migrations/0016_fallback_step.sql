-- The field's word, as in answers and metrics.
alter table counter_series rename column rung to fallback_step;
alter table counter_minutes rename column rung to fallback_step;
alter table counter_hours rename column rung to fallback_step;
