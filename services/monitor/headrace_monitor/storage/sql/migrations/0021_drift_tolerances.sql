-- What change is tolerated, by model, column (empty for all) and test; without a row the default is.
create table drift_tolerances (
    model       text collate "C" not null,
    column_name text collate "C" not null,
    test        text not null,
    tolerance   double precision not null,
    primary key (model, column_name, test)
);
