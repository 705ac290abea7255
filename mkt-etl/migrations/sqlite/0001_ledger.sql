-- What the pipeline remembers. Timestamps: microseconds since 1970 in UTC. Measures: millionths.
create table etl_slices (
    source text not null,
    stream text not null,
    site text not null,
    window_from text not null,
    window_until text not null,
    state text not null,
    records_read integer not null,
    records_loaded integer not null,
    records_quarantined integer not null,
    records_duplicate integer not null,
    table_rows text not null,
    totals text not null,
    control_totals text,
    reconciled integer,
    failed_attempts integer not null,
    last_error text,
    note text,
    version text,
    fingerprint text,
    changed_at integer not null,
    primary key (source, stream, site, window_from, window_until)
) strict, without rowid;

create table etl_quarantine (
    quarantine_id integer not null primary key,
    place text not null,
    line integer,
    byte_offset integer,
    raw text not null,
    reason text not null,
    source text not null,
    stream text not null,
    site text not null,
    day text not null,
    load_id integer not null
) strict;

create index etl_quarantine_load on etl_quarantine (load_id);

create table etl_revisions (
    source text not null,
    stream text not null,
    site text not null,
    window_from text not null,
    metric text not null,
    old_value integer,
    new_value integer,
    seen_at integer not null,
    primary key (source, stream, site, window_from, metric, seen_at)
) strict, without rowid;
