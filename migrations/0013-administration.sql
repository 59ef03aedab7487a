-- Deleting tenants. Each step may be repeated: a deletion that breaks off goes on by being asked for again.
-- Runs as mds_owner.
-- migrate:up

-- Marks a tenant: from the end of this transaction on, sessions that begin one have no such tenant. No row for one that
-- does not exist.
create function mds.begin_tenant_deletion(slug_or_id text) returns table (tenant_id uuid, slug text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if exists (select from store.tenants t where t.slug = 'default' and slug_or_id in (t.slug, t.id::text)) then
    raise exception 'The tenant "default" is the one that is meant where none is named; rename it first if it is to go.'
      using errcode = 'MD013';
  end if;
  return query
    update store.tenants t set state = 'deleting'
    where t.slug = slug_or_id or t.id::text = slug_or_id
    returning t.id, t.slug;
end $$;

-- Which transactions of this database are open, besides this one: each holds a lock on its own id, which everybody may
-- see, and a prepared one is listed. One that began before a tenant was marked may still write for it.
create function mds.open_transactions() returns text[]
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select array(
    select l.virtualtransaction || ' of process ' || l.pid
    from pg_locks l join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'virtualxid' and l.mode = 'ExclusiveLock' and l.granted and l.pid <> pg_backend_pid()
      -- What has no user is the server's own, such as a vacuum.
      and a.datid = (select d.oid from pg_database d where d.datname = current_database()) and a.usesysid is not null
    union all
    select 'the prepared ' || quote_literal(p.gid) from pg_prepared_xacts p where p.database = current_database()
    order by 1
  )
$$;

-- The tables that hold rows of tenants, in the order in which they are emptied: by series first, then by tenant, series
-- last. Of partitioned tables each partition, detached ones too. Read from the catalog, so that none is forgotten.
create function store.tenant_tables() returns table (table_name name, series_table name)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  with columns as (
    select c.oid, c.relname, coalesce(root.relname, c.relname) as root_name,
      bool_or(a.attname = 'series_id') as by_series, bool_or(a.attname = 'tenant_id') as by_tenant
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attname in ('series_id', 'tenant_id') and not a.attisdropped
    left join pg_class root on root.oid = pg_partition_root(c.oid)
    where c.relnamespace = 'store'::regnamespace and c.relkind = 'r' and c.relname not in ('tenants')
    group by c.oid, c.relname, root.relname
  )
  select c.relname, null::name from columns c where c.by_tenant
  union all
  select c.relname, s.relname
  from columns c
  cross join lateral (
    select s.relname from columns s
    where s.by_series and s.by_tenant and starts_with(c.root_name, regexp_replace(s.relname, '_series$', '_'))
    order by length(s.relname) desc limit 1
  ) s
  where c.by_series and not c.by_tenant
$$;

create function mds.list_tenant_tables() returns table (table_name text, by_series boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select t.table_name::text, t.series_table is not null
  from store.tenant_tables() t
  order by t.series_table is null, t.table_name ~ '_series$', t.table_name collate "C"
$$;

-- Deletes at most so many rows of a tenant that is being deleted from one of these tables; how many it were.
create function mds.delete_tenant_rows(tenant uuid, table_name text, max_rows int4) returns int8
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  target record;
  ids int4[];
  deleted int8;
begin
  if max_rows is null or max_rows not between 1 and 50000 then
    raise exception 'One call deletes 1 to 50000 rows, not %.', max_rows using errcode = '22023';
  end if;
  if not exists (select from store.tenants t where t.id = tenant and t.state = 'deleting') then
    raise exception 'There is no tenant % that is being deleted.', tenant using errcode = '22023';
  end if;
  select t.table_name, t.series_table into target
  from store.tenant_tables() t where t.table_name::text = delete_tenant_rows.table_name;
  -- Retention may have dropped it meanwhile.
  if not found then
    return 0;
  end if;
  if target.series_table is null then
    execute format(
      'delete from store.%1$I d where d.tenant_id = $1
         and d.ctid = any (array(select e.ctid from store.%1$I e where e.tenant_id = $1 limit $2))', target.table_name)
    using tenant, max_rows;
  else
    execute format('select array(select s.series_id from store.%I s where s.tenant_id = $1)', target.series_table)
    into ids using tenant;
    -- The series are asked for twice: where one name stood for several tables, places of rows would not tell them apart.
    execute format(
      'delete from store.%1$I d where d.series_id = any ($1)
         and d.ctid = any (array(select e.ctid from store.%1$I e where e.series_id = any ($1) limit $2))', target.table_name)
    using ids, max_rows;
  end if;
  get diagnostics deleted = row_count;
  return deleted;
end $$;

-- The last step, when nothing is left of the tenant; true when the tenant was there.
create function mds.finish_tenant_deletion(tenant uuid) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  delete from store.tenants t where t.id = tenant and t.state = 'deleting';
  return found;
end $$;

revoke execute on function mds.begin_tenant_deletion, mds.open_transactions, store.tenant_tables, mds.list_tenant_tables,
  mds.delete_tenant_rows, mds.finish_tenant_deletion from public;
grant execute on function mds.begin_tenant_deletion, mds.open_transactions, mds.list_tenant_tables, mds.delete_tenant_rows,
  mds.finish_tenant_deletion to mds_admin;

-- migrate:down
drop function mds.finish_tenant_deletion(uuid);
drop function mds.delete_tenant_rows(uuid, text, int4);
drop function mds.list_tenant_tables();
drop function store.tenant_tables();
drop function mds.open_transactions();
drop function mds.begin_tenant_deletion(text);
