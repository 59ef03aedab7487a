-- Ingest tokens and idempotency keys. Runs as mds_owner.
-- migrate:up
select 1;

-- migrate:down
select 1;
