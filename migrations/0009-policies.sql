-- Policies as data, the engine, retention. Runs as mds_owner.
-- migrate:up
select 1;

-- migrate:down
select 1;
