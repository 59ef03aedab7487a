-- Aggregates of bars. Runs as mds_owner.
-- migrate:up
select 1;

-- migrate:down
select 1;
