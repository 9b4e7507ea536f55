-- name: outcomes
-- Of models, about predictions whose ids are in a range: they sort by their time. Texts are in hex, since what they hold
-- (quotes, ends of lines) is read in many ways from CSV.
select prediction_id::text, row_number, model, kind, number, encode(convert_to(text, 'UTF8'), 'hex'), observe_time,
    record_time
from outcomes
where model = any ($1::text[]) and prediction_id >= $2::uuid and prediction_id < $3::uuid;

-- name: changed_outcomes
-- What was recorded or corrected since a change; a text takes the place of a number. Columns as in `outcomes`.
select prediction_id::text, row_number, null, kind, number, null, observe_time, null
from outcomes
where model = $1 and change_number >= $2 and prediction_id >= $3::uuid and kind = any ($4::text[]);

-- name: models
-- Models that have outcomes: one step of the primary key for each, however many outcomes they have.
with recursive found as (
    (select model from outcomes order by model limit 1)
    union all
    select (select next.model from outcomes next where next.model > found.model order by next.model limit 1)
    from found where found.model is not null
)
select model from found where model is not null;
