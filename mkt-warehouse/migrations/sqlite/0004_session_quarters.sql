-- Sessions added up by quarters of an hour, robots left out, slice by slice. The engine writes it with the slice.
create table session_quarters (
    quarter            integer not null, -- microseconds since 1970-01-01 UTC
    sessions           integer not null,
    converted_sessions integer not null,
    source             text not null,
    site               text not null,
    day                text not null, -- YYYY-MM-DD
    load_id            integer not null,
    primary key (load_id, source, site, day, quarter)
) strict, without rowid;
insert into session_quarters (quarter, sessions, converted_sessions, source, site, day, load_id)
select start_time - (start_time % 900000000 + 900000000) % 900000000, count(*), sum(converted), source, site, day, load_id
from sessions
where bot is null
group by 1, source, site, day, load_id;

-- All that the reports ask of the sessions of a user, in their order: persons are counted without sorting the table.
create index idx_sessions_visitor on sessions
    (user_id, site, source, start_time, converted, channel, device, campaign_id, bot);
