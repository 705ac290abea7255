-- The ledger says how far each slice can be trusted.
alter table loads add column state text not null default 'settled';

-- The key `event_id integer primary key` was the rowid itself, so that rows with hashed ids went to random places of a
-- wide table. Now rows lie in the order of their loads, and the key is an index of its own, which a large first load
-- builds at its end.
create table events_2 (
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
    load_id     integer not null
) strict;
insert into events_2 select * from events order by load_id, timestamp, event_id;
drop table events;
alter table events_2 rename to events;
create unique index events_key on events (event_id);
create index idx_events_user on events (user_id);
create index idx_events_type on events (event_type);
create index idx_events_time on events (site, timestamp);
create index idx_events_load on events (load_id);

create table email_events_2 (
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
    load_id     integer not null
) strict;
insert into email_events_2 select * from email_events order by load_id, timestamp, event_id;
drop table email_events;
alter table email_events_2 rename to email_events;
create unique index email_events_key on email_events (event_id);
create index idx_email_events_load on email_events (load_id);
