-- When each dataset was last heard of, for the session's tenant. Runs as mds_owner.
-- migrate:up
create function store.newest_time(dataset text, time_column text) returns timestamptz
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  ids int4[];
begin
  execute format('select array_agg(s.series_id) from store.%I s where s.tenant_id = $1', dataset || '_series')
  into ids using store.current_tenant();
  return (select max(l.last_time) from store.last_times(dataset, time_column, ids, 'infinity') l);
end $$;

create view mds.data_freshness with (security_barrier) as
select d.dataset, store.newest_time(d.dataset, d.time_column) as latest
from (values ('bars', 'ts'), ('options', 'ts'), ('fundamentals', 'asof'), ('news', 'published_at'), ('signals', 'ts'))
  as d (dataset, time_column);

revoke execute on function store.newest_time(text, text) from public;
grant execute on function store.newest_time(text, text) to mds_app, mds_reader;
grant select on mds.data_freshness to mds_app, mds_reader;

-- migrate:down
drop view mds.data_freshness;
drop function store.newest_time(text, text);
