-- The warehouse's tables in SQLite. Instants are INTEGER microseconds since 1970-01-01 UTC, days are TEXT YYYY-MM-DD
-- in the site's zone, money is INTEGER hundredths, measures are INTEGER millionths, truth values are 0 or 1.

-- Something a visitor did.
create table events (
    event_id    integer not null,
    user_id     text not null constraint user_id check (length(user_id) <= 50),
    event_type  text not null constraint event_type check (length(event_type) <= 50),
    timestamp   integer not null, -- microseconds since 1970-01-01 UTC
    channel     text not null constraint channel check (length(channel) <= 50),
    revenue     integer not null default 0, -- hundredths
    properties  text not null, -- JSON
    session_id  text constraint session_id check (length(session_id) <= 50),
    campaign_id text,
    currency    text,
    source      text not null,
    site        text not null,
    day         text not null, -- YYYY-MM-DD
    load_id     integer not null,
    primary key (event_id)
) strict;

-- A visit.
create table sessions (
    session_id     text not null constraint session_id check (length(session_id) <= 50),
    user_id        text not null constraint user_id check (length(user_id) <= 50),
    start_time     integer not null, -- microseconds since 1970-01-01 UTC
    end_time       integer not null, -- microseconds since 1970-01-01 UTC
    pages_viewed   integer not null default 0,
    converted      integer not null default 0 constraint converted check (converted in (0, 1)), -- 0 or 1
    channel        text not null constraint channel check (length(channel) <= 50),
    channel_detail text,
    campaign_id    text,
    device         text,
    landing_url    text,
    referrer       text,
    time_on_site   integer,
    bot            text,
    source         text not null,
    site           text not null,
    day            text not null, -- YYYY-MM-DD
    load_id        integer not null,
    primary key (session_id)
) strict;

-- A number of one day, as the source reports it.
create table daily_metrics (
    metric      text not null,
    kind        text not null,
    value       integer, -- millionths
    numerator   integer, -- millionths
    denominator integer, -- millionths
    currency    text,
    state       text not null,
    source      text not null,
    site        text not null,
    day         text not null, -- YYYY-MM-DD
    load_id     integer not null,
    primary key (source, site, day, metric)
) strict;

-- A person or visitor as one source knows them.
create table users (
    user_id      text not null,
    signed_up_at integer, -- microseconds since 1970-01-01 UTC
    language     text,
    sex          text,
    age_band     text,
    occupation   text,
    segment      text,
    attributes   text not null, -- JSON
    source       text not null,
    site         text not null,
    day          text not null, -- YYYY-MM-DD
    load_id      integer not null,
    primary key (source, site, user_id)
) strict;

-- This user id belongs to this person.
create table identities (
    user_id   text not null,
    person_id text not null,
    key_kind  text not null,
    since     integer not null, -- microseconds since 1970-01-01 UTC
    reason    text not null,
    source    text not null,
    site      text not null,
    day       text not null, -- YYYY-MM-DD
    load_id   integer not null,
    primary key (source, site, user_id)
) strict;

-- A declared campaign.
create table campaigns (
    campaign_id text not null,
    tag_source  text not null,
    tag_medium  text not null,
    name        text not null,
    channel     text not null,
    declared_by text not null,
    first_seen  integer not null, -- microseconds since 1970-01-01 UTC
    vendor_ref  text,
    source      text not null,
    site        text not null,
    day         text not null, -- YYYY-MM-DD
    load_id     integer not null,
    primary key (source, site, campaign_id)
) strict;

-- What a campaign cost on a day.
create table costs (
    campaign_id           text not null,
    channel               text not null,
    impressions           integer,
    clicks                integer,
    post_view_conversions integer,
    cost                  integer not null, -- hundredths
    currency              text not null,
    source                text not null,
    site                  text not null,
    day                   text not null, -- YYYY-MM-DD
    load_id               integer not null,
    primary key (source, site, day, channel, campaign_id)
) strict;

-- A post on a social network.
create table posts (
    post_id      text not null,
    network      text not null,
    account      text,
    published_at integer not null, -- microseconds since 1970-01-01 UTC
    post_type    text not null,
    text         text,
    url          text,
    paid         integer constraint paid check (paid in (0, 1)), -- 0 or 1
    campaign_id  text,
    source       text not null,
    site         text not null,
    day          text not null, -- YYYY-MM-DD
    load_id      integer not null,
    primary key (source, site, post_id)
) strict;

-- What a metric of a post was at an instant.
create table observations (
    post_id       text not null,
    metric        text not null,
    value         integer, -- millionths
    missing       text,
    native_metric text,
    observed_at   integer not null, -- microseconds since 1970-01-01 UTC
    api_version   text,
    source        text not null,
    site          text not null,
    day           text not null, -- YYYY-MM-DD
    load_id       integer not null,
    primary key (source, site, post_id, metric, observed_at)
) strict;

-- What became of a mail.
create table email_events (
    event_id    integer not null,
    message_id  text not null,
    user_id     text,
    event_type  text not null,
    timestamp   integer not null, -- microseconds since 1970-01-01 UTC
    campaign_id text,
    url         text,
    detail      text,
    source      text not null,
    site        text not null,
    day         text not null, -- YYYY-MM-DD
    load_id     integer not null,
    primary key (event_id)
) strict;

-- A site: zone, currency, system of record, conversion set.
create table sites (
    site           text not null,
    zone           text not null,
    currency       text,
    record_source  text not null,
    conversion_set text not null, -- JSON
    primary key (site)
) strict;

-- Local time = UTC + offset_s.
create table zone_offsets (
    zone      text not null,
    from_utc  integer not null, -- microseconds since 1970-01-01 UTC
    until_utc integer not null, -- microseconds since 1970-01-01 UTC
    offset_s  integer not null,
    primary key (zone, from_utc)
) strict;

-- The ledger: a slice that was loaded.
create table loads (
    load_id      integer not null,
    source       text not null,
    stream       text not null,
    site         text not null,
    window_from  text not null, -- YYYY-MM-DD
    window_until text not null, -- YYYY-MM-DD
    content_hash text not null,
    row_count    integer not null,
    revision     integer not null,
    loaded_at    integer not null, -- microseconds since 1970-01-01 UTC
    primary key (load_id)
) strict;

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
    cast(sum(case when m.metric = 'visits' then m.value end) / 1000000 as integer) as visits,
    cast(sum(case when m.metric = 'conversions' then m.value end) / 1000000 as integer) as conversions
from daily_metrics m
left join sites s on s.site = m.site
where m.metric in ('visits', 'conversions') and m.source = coalesce(s.record_source, m.source)
group by m.day;
