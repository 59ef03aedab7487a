-- What the job runner keeps beside the queue. Runs as mds_owner.
-- migrate:up
select 1;

-- migrate:down
select 1;
