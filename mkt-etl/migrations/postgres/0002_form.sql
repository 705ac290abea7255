-- Slices that are not read again, whatever their state.
alter table etl_slices add column is_final boolean not null default false;
update etl_slices set is_final = true where state = 'settled' and failed_attempts = 0;

-- What sources tell beyond the model, and where their form differs from what is known.
create table etl_extras (
    extra_id bigint not null primary key,
    record text not null,
    fields jsonb not null,
    source text not null,
    stream text not null,
    site text not null,
    day date not null,
    load_id bigint not null
);

create index etl_extras_load on etl_extras (load_id);

create table etl_drift (
    drift_id bigint not null primary key,
    place text not null,
    field text not null,
    change text not null,
    source text not null,
    stream text not null,
    site text not null,
    day date not null,
    load_id bigint not null
);

create index etl_drift_load on etl_drift (load_id);
