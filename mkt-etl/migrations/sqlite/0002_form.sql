-- Slices that are not read again, whatever their state.
alter table etl_slices add column is_final integer not null default 0;
update etl_slices set is_final = 1 where state = 'settled' and failed_attempts = 0;

-- What sources tell beyond the model, and where their form differs from what is known.
create table etl_extras (
    extra_id integer not null primary key,
    record text not null,
    fields text not null,
    source text not null,
    stream text not null,
    site text not null,
    day text not null,
    load_id integer not null
) strict;

create index etl_extras_load on etl_extras (load_id);

create table etl_drift (
    drift_id integer not null primary key,
    place text not null,
    field text not null,
    change text not null,
    source text not null,
    stream text not null,
    site text not null,
    day text not null,
    load_id integer not null
) strict;

create index etl_drift_load on etl_drift (load_id);
