-- Tenants, the session's tenant, and time partitions. Runs as mds_owner; the roles and the two schemas exist already.
-- migrate:up
create table store.tenants (
  id uuid primary key default gen_random_uuid(),
  slug text not null unique constraint slug_form check (slug ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
  name text not null constraint name_text check (char_length(name) between 1 and 200 and name !~ '[[:cntrl:]]'),
  state text not null default 'active' constraint state_known check (state in ('active', 'deleting')),
  created_at timestamptz not null default now()
);
insert into store.tenants (slug, name) values ('default', 'Default');

-- Logins that are bound to one tenant, whatever they set. By name and by oid: another login that gets the name of a
-- dropped one does not get its tenant.
create table store.role_tenants (
  role_name name primary key,
  role_oid oid not null unique,
  tenant_id uuid not null references store.tenants (id)
);

create table store.settings (
  name text primary key,
  value text not null
);

create function store.is_bound() returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select exists (
    select from store.role_tenants r
    where r.role_name = session_user or r.role_oid = to_regrole(quote_ident(session_user))
  )
$$;

-- The session's tenant, or null. A bound login always has its own, and none once its name or oid is another's; a setting
-- is no credential, so it counts for members of mds_app only. The pattern is tested before the cast: after a local
-- setting ends it is '', not null.
create function store.current_tenant() returns uuid
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  tenant uuid;
  wanted text := current_setting('app.tenant_id', true);
begin
  if store.is_bound() then
    tenant := (
      select r.tenant_id from store.role_tenants r
      where r.role_name = session_user and r.role_oid = to_regrole(quote_ident(session_user))
    );
  elsif wanted ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
    and pg_has_role(session_user, 'mds_app', 'member')
  then
    tenant := wanted::uuid;
  end if;
  return (select t.id from store.tenants t where t.id = tenant and t.state = 'active');
end $$;

create function store.require_tenant() returns uuid
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  tenant uuid := store.current_tenant();
begin
  if tenant is null then
    raise exception 'This session has no tenant that may write.' using errcode = '42501';
  end if;
  return tenant;
end $$;

-- The tenant that this login may have of those that it asks for by slug or id. Without a wish it is the one that the
-- login is bound to, else "default". No row for another's tenant and for one that does not exist alike.
create function mds.session_tenant(slug_or_id text) returns table (tenant_id uuid)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select t.id from store.tenants t
  where t.state = 'active' and case when store.is_bound()
    then t.id = store.current_tenant() and (slug_or_id is null or slug_or_id in (t.slug, t.id::text))
    else pg_has_role(session_user, 'mds_app', 'member') and coalesce(slug_or_id, 'default') in (t.slug, t.id::text)
  end
$$;

-- What was applied, for those who may not see the table.
create function mds.applied_migrations() returns table (version int4, name text, checksum text, applied_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select m.version, m.name, m.checksum, m.applied_at from store.schema_migrations m order by m.version
$$;

create function mds.create_tenant(slug text, name text) returns uuid
language sql security definer set search_path = pg_catalog, pg_temp as $$
  insert into store.tenants (slug, name) values (create_tenant.slug, create_tenant.name) returning id
$$;

create function mds.list_tenants() returns table (id uuid, slug text, name text, state text, created_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select t.id, t.slug, t.name, t.state, t.created_at from store.tenants t order by t.slug collate "C"
$$;

-- True when the tenant exists.
create function mds.rename_tenant(slug_or_id text, new_slug text, new_name text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update store.tenants t set slug = coalesce(new_slug, t.slug), name = coalesce(new_name, t.name)
  where t.slug = slug_or_id or t.id::text = slug_or_id;
  return found;
end $$;

-- Binds a login to a tenant and answers with the tenant's id, null when there is no such tenant. Who could act as another
-- role that sees more than one tenant is refused: the binding would promise what it cannot hold.
create function mds.bind_login(login name, slug_or_id text) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  tenant uuid := (
    select t.id from store.tenants t where (t.slug = slug_or_id or t.id::text = slug_or_id) and t.state = 'active'
  );
  login_oid oid := (select r.oid from pg_roles r where r.rolname = login and r.rolcanlogin);
  power name;
begin
  if login_oid is null then
    raise exception 'There is no login "%".', login using errcode = 'MD005';
  end if;
  select g.rolname into power from pg_roles g
  where pg_has_role(login_oid, g.oid, 'member') and (
    g.rolsuper or g.rolcreaterole or g.rolreplication
    or g.rolname in ('mds_owner', 'mds_app', 'mds_admin') or starts_with(g.rolname, 'pg_')
  )
  order by g.rolname <> login, g.rolname limit 1;
  if power = login then
    raise exception 'The login "%" is a superuser, or may make roles or replicate; bind one that may not.', login
      using errcode = 'MD005';
  elsif power is not null then
    raise exception 'The login "%" can act as "%", which is not kept to one tenant; bind one that cannot.', login, power
      using errcode = 'MD005';
  elsif tenant is null then
    return null;
  end if;
  if exists (
    select from store.role_tenants r
    where (r.role_name = login or r.role_oid = login_oid) and r.tenant_id <> tenant
  ) then
    raise exception 'The login "%" is bound to another tenant; unbind it first.', login using errcode = 'MD005';
  end if;
  delete from store.role_tenants r where r.role_name = login or r.role_oid = login_oid;
  insert into store.role_tenants (role_name, role_oid, tenant_id) values (login, login_oid, tenant);
  return tenant;
end $$;

-- True when the login was bound.
create function mds.unbind_login(login name) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  delete from store.role_tenants r where r.role_name = login;
  return found;
end $$;

-- Bound logins; one that was dropped, renamed or made anew is not valid: it has no tenant until it is bound again.
create function mds.list_bound_logins() returns table (login name, tenant_id uuid, tenant text, valid boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select r.role_name, t.id, t.slug, exists (select from pg_roles p where p.rolname = r.role_name and p.oid = r.role_oid)
  from store.role_tenants r join store.tenants t on t.id = r.tenant_id
  order by r.role_name
$$;

create function mds.seed() returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  insert into store.tenants (slug, name) values ('default', 'Default') on conflict (slug) do nothing
$$;

-- Attached time partitions of a dataset, read from the catalog, which spells times as the session's settings say.
create function store.partitions(dataset text) returns table (partition_name text, range_start timestamptz, range_end timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' as $$
  select c.relname::text, bounds[1]::timestamptz, bounds[2]::timestamptz
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid
  cross join lateral regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM [(]''(.+)''[)] TO [(]''(.+)''[)]') as bounds
  where i.inhparent = to_regclass(format('store.%I', dataset || '_data')) and not i.inhdetachpending
$$;

-- The newest time not after a bound of each of these series. The month before it is searched first, then two months before
-- that, then four, and so on for the series not yet found: one search of everything would open hundreds of partitions.
create function store.last_times(dataset text, time_column text, series_ids int4[], not_after timestamptz)
returns table (series_id int4, last_time timestamptz)
language plpgsql stable set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  upper_bound timestamptz := not_after + interval '1 microsecond';
  lower_bound timestamptz := least(not_after, now()) - interval '1 month';
  width interval := interval '2 months';
  missing int4[] := series_ids;
  found_ids int4[];
  found_times timestamptz[];
begin
  while upper_bound > '1900-01-01' and cardinality(missing) > 0 loop
    execute format(
      'select array_agg(m), array_agg(l.last_time)
       from unnest($1) m
       cross join lateral (
         select d.%1$I as last_time from store.%2$I d
         where d.series_id = m and d.%1$I >= $2 and d.%1$I < $3
         order by d.%1$I desc limit 1
       ) l', time_column, dataset || '_data')
    into found_ids, found_times using missing, lower_bound, upper_bound;
    return query select unnest(found_ids), unnest(found_times);
    missing := array(select unnest(missing) except select unnest(found_ids));
    upper_bound := lower_bound;
    lower_bound := lower_bound - width;
    width := width * 2;
  end loop;
end $$;

-- The starts that no attached partition covers.
create function store.uncovered(dataset text, starts timestamptz[]) returns timestamptz[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select array(
    select s from unnest(starts) s
    where not exists (select from store.partitions(dataset) p where s >= p.range_start and s < p.range_end)
    order by s
  )
$$;

-- Makes the partitions that hold the given times and answers with their ranges, at most 64 new ones a call. A partition
-- is made as a table of its own and then attached, which does not hold up writers; one maker at a time.
create function mds.ensure_partitions(dataset text, times timestamptz[])
returns table (range_start timestamptz, range_end timestamptz)
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  tenant uuid := store.require_tenant();
  width text := (select s.value from store.settings s where s.name = 'partition_width.' || dataset);
  parent text := dataset || '_data';
  child text;
  starts timestamptz[] := array(
    select distinct date_trunc(width, t) from unnest(times) t where t is not null order by 1
  );
  start_at timestamptz;
begin
  if width is null then
    raise exception 'There is no dataset "%".', dataset using errcode = '22023';
  end if;
  if exists (select from unnest(times) t where t < '1900-01-01' or t > now() + interval '2 years 1 day') then
    raise exception 'A time of this batch is outside 1900-01-01 to two years from now.' using errcode = 'MD002';
  end if;
  if cardinality(store.uncovered(dataset, starts)) > 0 then
    perform pg_advisory_xact_lock(hashtext('mds.ensure_partitions'), hashtext(dataset));
    starts := store.uncovered(dataset, starts);
    if cardinality(starts) > 64 then
      raise exception 'One call makes at most 64 partitions, not %.', cardinality(starts) using errcode = '22023';
    end if;
    foreach start_at in array starts loop
      child := parent || to_char(start_at, case width when 'month' then '_YYYY_MM' else '_YYYY' end);
      execute format('create table store.%I (like store.%I including all)', child, parent);
      -- What "like" leaves out: no statistics of the columns of which the parent wants none.
      execute (
        select format('alter table store.%I %s', child, string_agg(format('alter column %I set statistics 0', a.attname), ', '))
        from pg_attribute a
        where a.attrelid = to_regclass(format('store.%I', parent)) and a.attnum > 0 and a.attstattarget = 0
      );
      execute format('alter table store.%I attach partition store.%I for values from (%L) to (%L)',
        parent, child, start_at, start_at + ('1 ' || width)::interval);
    end loop;
  end if;
  return query
    select p.range_start, p.range_end from store.partitions(dataset) p
    where exists (select from unnest(times) t where t >= p.range_start and t < p.range_end);
end $$;

revoke execute on all functions in schema store, mds from public;
grant usage on schema mds to mds_app, mds_admin, mds_reader;
grant execute on function store.current_tenant() to mds_app, mds_reader;
grant execute on function mds.session_tenant(text) to mds_app, mds_reader;
grant execute on function mds.applied_migrations() to mds_app, mds_admin, mds_reader;
grant execute on function mds.ensure_partitions(text, timestamptz[]) to mds_app;
grant execute on function mds.create_tenant(text, text), mds.list_tenants(), mds.rename_tenant(text, text, text), mds.seed(),
  mds.bind_login(name, text), mds.unbind_login(name), mds.list_bound_logins() to mds_admin;

-- migrate:down
drop function mds.ensure_partitions(text, timestamptz[]);
drop function mds.seed();
drop function mds.list_bound_logins();
drop function mds.unbind_login(name);
drop function mds.bind_login(name, text);
drop function mds.rename_tenant(text, text, text);
drop function mds.list_tenants();
drop function mds.create_tenant(text, text);
drop function mds.applied_migrations();
drop function mds.session_tenant(text);
drop function store.uncovered(text, timestamptz[]);
drop function store.last_times(text, text, int4[], timestamptz);
drop function store.partitions(text);
drop function store.require_tenant();
drop function store.current_tenant();
drop function store.is_bound();
drop table store.settings;
drop table store.role_tenants;
drop table store.tenants;
