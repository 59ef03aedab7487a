-- Deleting tenants; what the doctor looks at. Runs as mds_owner.
-- migrate:up
select 1;

-- migrate:down
select 1;
