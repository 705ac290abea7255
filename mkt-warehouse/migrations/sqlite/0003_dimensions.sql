-- Numbers of one day by dimensions: visits by page, by campaign, by hour.
create table dimension_metrics (
    report        text not null,
    dimension_key integer not null,
    dimensions    text not null, -- JSON
    metric        text not null,
    kind          text not null,
    value         integer, -- millionths
    numerator     integer, -- millionths
    denominator   integer, -- millionths
    currency      text,
    is_rest       integer not null,
    state         text not null,
    source        text not null,
    site          text not null,
    day           text not null, -- YYYY-MM-DD
    load_id       integer not null,
    primary key (source, site, day, report, dimension_key, metric)
) strict;
create index idx_dimension_metrics_load on dimension_metrics (load_id);
