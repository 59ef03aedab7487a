-- Nothing: what TimescaleDB needs besides is in the file of the same number for that engine. Runs as mds_owner.
-- migrate:up

-- migrate:down
