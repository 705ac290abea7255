-- Numbers of one day by dimensions: visits by page, by campaign, by hour.
create table dimension_metrics (
    report        text collate "C" not null,
    dimension_key bigint not null,
    dimensions    jsonb not null,
    metric        text collate "C" not null,
    kind          text collate "C" not null,
    value         numeric(18,6),
    numerator     numeric(18,6),
    denominator   numeric(18,6),
    currency      text collate "C",
    is_rest       boolean not null,
    state         text collate "C" not null,
    source        text collate "C" not null,
    site          text collate "C" not null,
    day           date not null,
    load_id       bigint not null,
    primary key (source, site, day, report, dimension_key, metric)
);
create index idx_dimension_metrics_load on dimension_metrics (load_id);
