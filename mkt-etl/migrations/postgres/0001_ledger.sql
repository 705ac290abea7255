-- What the pipeline remembers.
create table etl_slices (
    source text not null,
    stream text not null,
    site text not null,
    window_from date not null,
    window_until date not null,
    state text not null,
    records_read bigint not null,
    records_loaded bigint not null,
    records_quarantined bigint not null,
    records_duplicate bigint not null,
    table_rows jsonb not null,
    totals jsonb not null,
    control_totals jsonb,
    reconciled boolean,
    failed_attempts bigint not null,
    last_error text,
    note text,
    version text,
    fingerprint text,
    changed_at timestamptz not null,
    primary key (source, stream, site, window_from, window_until)
);

create table etl_quarantine (
    quarantine_id bigint not null primary key,
    place text not null,
    line bigint,
    byte_offset bigint,
    raw text not null,
    reason text not null,
    source text not null,
    stream text not null,
    site text not null,
    day date not null,
    load_id bigint not null
);

create index etl_quarantine_load on etl_quarantine (load_id);

create table etl_revisions (
    source text not null,
    stream text not null,
    site text not null,
    window_from date not null,
    metric text not null,
    old_value numeric(18, 6),
    new_value numeric(18, 6),
    seen_at timestamptz not null,
    primary key (source, stream, site, window_from, metric, seen_at)
);
