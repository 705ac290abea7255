-- The ledger says how far each slice can be trusted.
alter table loads add column state text collate "C" not null default 'settled';
