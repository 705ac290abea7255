-- The warehouse's tables in PostgreSQL. Days are in the site's zone. Texts sort by their bytes (collation "C"), so that
-- reports answer in one order on every engine and server locale.

-- Something a visitor did.
create table events (
    event_id    bigint not null,
    user_id     varchar(50) collate "C" not null,
    event_type  varchar(50) collate "C" not null,
    timestamp   timestamptz not null default now(),
    channel     varchar(50) collate "C" not null,
    revenue     decimal(10,2) not null default 0,
    properties  jsonb not null,
    session_id  varchar(50) collate "C",
    campaign_id text collate "C",
    currency    text collate "C",
    source      text collate "C" not null,
    site        text collate "C" not null,
    day         date not null,
    load_id     bigint not null,
    primary key (event_id)
);

-- A visit.
create table sessions (
    session_id     varchar(50) collate "C" not null,
    user_id        varchar(50) collate "C" not null,
    start_time     timestamptz not null,
    end_time       timestamptz not null,
    pages_viewed   bigint not null default 0,
    converted      boolean not null default false,
    channel        varchar(50) collate "C" not null,
    channel_detail text collate "C",
    campaign_id    text collate "C",
    device         text collate "C",
    landing_url    text collate "C",
    referrer       text collate "C",
    time_on_site   bigint,
    bot            text collate "C",
    source         text collate "C" not null,
    site           text collate "C" not null,
    day            date not null,
    load_id        bigint not null,
    primary key (session_id)
);

-- A number of one day, as the source reports it.
create table daily_metrics (
    metric      text collate "C" not null,
    kind        text collate "C" not null,
    value       numeric(18,6),
    numerator   numeric(18,6),
    denominator numeric(18,6),
    currency    text collate "C",
    state       text collate "C" not null,
    source      text collate "C" not null,
    site        text collate "C" not null,
    day         date not null,
    load_id     bigint not null,
    primary key (source, site, day, metric)
);

-- A person or visitor as one source knows them.
create table users (
    user_id      text collate "C" not null,
    signed_up_at timestamptz,
    language     text collate "C",
    sex          text collate "C",
    age_band     text collate "C",
    occupation   text collate "C",
    segment      text collate "C",
    attributes   jsonb not null,
    source       text collate "C" not null,
    site         text collate "C" not null,
    day          date not null,
    load_id      bigint not null,
    primary key (source, site, user_id)
);

-- This user id belongs to this person.
create table identities (
    user_id   text collate "C" not null,
    person_id text collate "C" not null,
    key_kind  text collate "C" not null,
    since     timestamptz not null,
    reason    text collate "C" not null,
    source    text collate "C" not null,
    site      text collate "C" not null,
    day       date not null,
    load_id   bigint not null,
    primary key (source, site, user_id)
);

-- A declared campaign.
create table campaigns (
    campaign_id text collate "C" not null,
    tag_source  text collate "C" not null,
    tag_medium  text collate "C" not null,
    name        text collate "C" not null,
    channel     text collate "C" not null,
    declared_by text collate "C" not null,
    first_seen  timestamptz not null,
    vendor_ref  text collate "C",
    source      text collate "C" not null,
    site        text collate "C" not null,
    day         date not null,
    load_id     bigint not null,
    primary key (source, site, campaign_id)
);

-- What a campaign cost on a day.
create table costs (
    campaign_id           text collate "C" not null,
    channel               text collate "C" not null,
    impressions           bigint,
    clicks                bigint,
    post_view_conversions bigint,
    cost                  decimal(10,2) not null,
    currency              text collate "C" not null,
    source                text collate "C" not null,
    site                  text collate "C" not null,
    day                   date not null,
    load_id               bigint not null,
    primary key (source, site, day, channel, campaign_id)
);

-- A post on a social network.
create table posts (
    post_id      text collate "C" not null,
    network      text collate "C" not null,
    account      text collate "C",
    published_at timestamptz not null,
    post_type    text collate "C" not null,
    text         text collate "C",
    url          text collate "C",
    paid         boolean,
    campaign_id  text collate "C",
    source       text collate "C" not null,
    site         text collate "C" not null,
    day          date not null,
    load_id      bigint not null,
    primary key (source, site, post_id)
);

-- What a metric of a post was at an instant.
create table observations (
    post_id       text collate "C" not null,
    metric        text collate "C" not null,
    value         numeric(18,6),
    missing       text collate "C",
    native_metric text collate "C",
    observed_at   timestamptz not null,
    api_version   text collate "C",
    source        text collate "C" not null,
    site          text collate "C" not null,
    day           date not null,
    load_id       bigint not null,
    primary key (source, site, post_id, metric, observed_at)
);

-- What became of a mail.
create table email_events (
    event_id    bigint not null,
    message_id  text collate "C" not null,
    user_id     text collate "C",
    event_type  text collate "C" not null,
    timestamp   timestamptz not null,
    campaign_id text collate "C",
    url         text collate "C",
    detail      text collate "C",
    source      text collate "C" not null,
    site        text collate "C" not null,
    day         date not null,
    load_id     bigint not null,
    primary key (event_id)
);

-- A site: zone, currency, system of record, conversion set.
create table sites (
    site           text collate "C" not null,
    zone           text collate "C" not null,
    currency       text collate "C",
    record_source  text collate "C" not null,
    conversion_set jsonb not null,
    primary key (site)
);

-- Local time = UTC + offset_s.
create table zone_offsets (
    zone      text collate "C" not null,
    from_utc  timestamptz not null,
    until_utc timestamptz not null,
    offset_s  bigint not null,
    primary key (zone, from_utc)
);

-- The ledger: a slice that was loaded.
create table loads (
    load_id      bigint not null,
    source       text collate "C" not null,
    stream       text collate "C" not null,
    site         text collate "C" not null,
    window_from  date not null,
    window_until date not null,
    content_hash text collate "C" not null,
    row_count    bigint not null,
    revision     bigint not null,
    loaded_at    timestamptz not null,
    primary key (load_id)
);

-- The course's three indexes.
create index idx_events_user on events (user_id);
create index idx_events_type on events (event_type);
create index idx_sessions_user on sessions (user_id);

-- Periods of a site, for the reports.
create index idx_events_time on events (site, timestamp);
create index idx_sessions_time on sessions (site, start_time);

-- A slice is replaced by its load_id.
create index idx_events_load on events (load_id);
create index idx_sessions_load on sessions (load_id);
create index idx_daily_metrics_load on daily_metrics (load_id);
create index idx_users_load on users (load_id);
create index idx_identities_load on identities (load_id);
create index idx_campaigns_load on campaigns (load_id);
create index idx_costs_load on costs (load_id);
create index idx_posts_load on posts (load_id);
create index idx_observations_load on observations (load_id);
create index idx_email_events_load on email_events (load_id);

-- The course's daily_metrics (date, visits, conversions), over the source that is each site's system of record.
create view daily_metrics_by_date as
select
    m.day as date,
    cast(sum(case when m.metric = 'visits' then m.value end) as bigint) as visits,
    cast(sum(case when m.metric = 'conversions' then m.value end) as bigint) as conversions
from daily_metrics m
left join sites s on s.site = m.site
where m.metric in ('visits', 'conversions') and m.source = coalesce(s.record_source, m.source)
group by m.day;
