-- The order of the source decides between events, and between sessions, of one timestamp. Rows that were loaded before
-- have none (0) until their slice is loaded again.
alter table events add column channel_detail text;
alter table events add column seq bigint not null default 0;
alter table sessions add column seq bigint not null default 0;
