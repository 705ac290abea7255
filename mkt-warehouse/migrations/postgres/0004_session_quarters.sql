-- Sessions added up by quarters of an hour, robots left out, slice by slice. The engine writes it with the slice.
create table session_quarters (
    quarter            timestamptz not null,
    sessions           bigint not null,
    converted_sessions bigint not null,
    source             text collate "C" not null,
    site               text collate "C" not null,
    day                date not null,
    load_id            bigint not null,
    primary key (load_id, source, site, day, quarter)
);
insert into session_quarters (quarter, sessions, converted_sessions, source, site, day, load_id)
select date_bin(interval '15 minutes', start_time, to_timestamp(0)), count(*), sum(cast(converted as integer)), source,
    site, day, load_id
from sessions
where bot is null
group by 1, source, site, day, load_id;
