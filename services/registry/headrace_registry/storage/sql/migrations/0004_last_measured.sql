-- Reading a version, and recording what was measured on it, cost the same however much was measured on it before.

-- The last value of each name. From name to name by measurements_last: `distinct on` reads every row.
create function last_measured(of_model text, of_version text) returns jsonb language sql stable as $$
    with recursive last as (
        (select name, value from measurements where model = of_model and version = of_version
         order by name, number desc limit 1)
        union all
        select next.* from last cross join lateral (
            select name, value from measurements
            where model = of_model and version = of_version and name > last.name
            order by name, number desc limit 1) as next
    )
    select coalesce(jsonb_agg(jsonb_build_array(name, value) order by name), '[]') from last
$$;

create index measurements_said on measurements (model, version, source_process, name, number desc);
