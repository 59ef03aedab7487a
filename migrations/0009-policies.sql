-- What is kept, for how long and in partitions of which width, as data; the engine; partitions whose making and dropping
-- may overlap; a record of what retention dropped. Runs as mds_owner.
-- migrate:up

-- The engine that whoever migrated chose; see src/database/engine/.
create function mds.engine() returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select s.value from store.settings s where s.name = 'engine'
$$;

-- A length of time as policies spell it: whole days, months or years up to two centuries; null for any other.
create function store.duration_text(length interval) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case
    when not isfinite(length) or length <= interval '0' or length > interval '200 years' or rest <> 0 then null
    when months > 0 and days = 0 and months % 12 = 0 then div(months, 12) || case months when 12 then ' year' else ' years' end
    when months > 0 and days = 0 then months || case months when 1 then ' month' else ' months' end
    when months = 0 and days > 0 then days || case days when 1 then ' day' else ' days' end
  end
  from (
    select extract(year from length) * 12 + extract(month from length) as months, extract(day from length) as days,
      extract(hour from length) + extract(minute from length) + extract(second from length) as rest
  ) parts
$$;

create table store.policies (
  dataset text primary key,
  -- Of an aggregate: what it is made of, and its timeframe.
  source text references store.policies (dataset),
  timeframe text,
  partition_width text not null constraint partition_width_known check (partition_width in ('month', 'year')),
  compress_after interval constraint compress_after_form check (compress_after is null or store.duration_text(compress_after) is not null),
  keep_for interval constraint keep_for_form check (keep_for is null or store.duration_text(keep_for) is not null),
  enabled boolean not null default true,
  updated_at timestamptz not null default now(),
  unique (source, timeframe),
  constraint aggregate_named check ((source is null) = (timeframe is null))
);
insert into store.policies (dataset, partition_width)
select replace(s.name, 'partition_width.', ''), s.value from store.settings s where starts_with(s.name, 'partition_width.');
delete from store.settings s where starts_with(s.name, 'partition_width.');

-- What retention is about to drop, written before it begins, and what it has dropped. A table that is no partition any
-- more is dropped only when it is named here: somebody else may have detached one to keep it.
create table store.retired_partitions (
  retirement_id int8 generated always as identity primary key,
  dataset text not null,
  partition_name text not null,
  range_start timestamptz not null,
  range_end timestamptz not null,
  announced_at timestamptz not null default now(),
  dropped_at timestamptz,
  row_count int8,
  first_time timestamptz,
  last_time timestamptz,
  constraint counted_when_dropped check ((dropped_at is null) = (row_count is null))
);
create unique index retired_partitions_open on store.retired_partitions (partition_name) where dropped_at is null;

-- Time partitions of a dataset with those whose detaching has begun and not ended; rows of these are out of sight already.
-- Read from the catalog, which spells times as the session's settings say.
create function store.all_partitions(dataset text)
returns table (partition_name text, range_start timestamptz, range_end timestamptz, detaching boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' as $$
  select c.relname::text, bounds[1]::timestamptz, bounds[2]::timestamptz, i.inhdetachpending
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid
  cross join lateral regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM [(]''(.+)''[)] TO [(]''(.+)''[)]') as bounds
  where i.inhparent = to_regclass(format('store.%I', dataset || '_data'))
$$;

-- Makes the partitions that hold the given times, at most 64 new ones a call, and answers with those that it made. A
-- partition is made as a table of its own and then attached, which does not hold up writers; one maker at a time. Where
-- a detached table still has the name, the partition gets another one.
create function store.make_partitions(dataset text, times timestamptz[])
returns table (partition_name text, range_start timestamptz, range_end timestamptz)
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
#variable_conflict use_variable
declare
  width text := (select p.partition_width from store.policies p where p.dataset = make_partitions.dataset);
  parent text := dataset || '_data';
  stem text;
  starts timestamptz[] := array(
    select distinct date_trunc(width, t) from unnest(times) t where t is not null order by 1
  );
  no_statistics text;
begin
  if width is null then
    raise exception 'There is no dataset "%".', dataset using errcode = '22023';
  end if;
  if cardinality(store.uncovered(dataset, starts)) = 0 then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtext('mds.ensure_partitions'), hashtext(dataset));
  -- A change of the width waits for the same lock.
  width := (select p.partition_width from store.policies p where p.dataset = make_partitions.dataset);
  starts := store.uncovered(dataset, array(select distinct date_trunc(width, t) from unnest(times) t where t is not null));
  if cardinality(starts) > 64 then
    raise exception 'One call makes at most 64 partitions, not %.', cardinality(starts) using errcode = '22023';
  end if;
  if exists (
    select from store.all_partitions(dataset) a
    where a.detaching and exists (select from unnest(starts) s where s < a.range_end and s + ('1 ' || width)::interval > a.range_start)
  ) then
    raise exception 'Retention is dropping a partition for a time of this batch; try again in a moment.' using errcode = '55P03';
  end if;
  -- What "like" leaves out: no statistics of the columns of which the parent wants none.
  no_statistics := (
    select string_agg(format('alter column %I set statistics 0', a.attname), ', ')
    from pg_attribute a
    where a.attrelid = to_regclass(format('store.%I', parent)) and a.attnum > 0 and a.attstattarget = 0
  );
  foreach range_start in array starts loop
    stem := parent || to_char(range_start, case width when 'month' then '_YYYY_MM' else '_YYYY' end);
    partition_name := stem;
    for attempt in 2..100 loop
      exit when to_regclass(format('store.%I', partition_name)) is null;
      partition_name := stem || '_' || attempt;
    end loop;
    range_end := range_start + ('1 ' || width)::interval;
    execute format('create table store.%I (like store.%I including all)', partition_name, parent);
    if no_statistics is not null then
      execute format('alter table store.%I %s', partition_name, no_statistics);
    end if;
    execute format('alter table store.%I attach partition store.%I for values from (%L) to (%L)',
      parent, partition_name, range_start, range_end);
    return next;
  end loop;
end $$;

create or replace function store.partitions(dataset text) returns table (partition_name text, range_start timestamptz, range_end timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select a.partition_name, a.range_start, a.range_end from store.all_partitions(dataset) a where not a.detaching
$$;

-- Makes the partitions that hold the given times and answers with their ranges, at most 64 new ones a call.
create or replace function mds.ensure_partitions(dataset text, times timestamptz[])
returns table (range_start timestamptz, range_end timestamptz)
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
#variable_conflict use_column
declare
  tenant uuid := store.require_tenant();
begin
  if exists (select from unnest(times) t where t < '1900-01-01' or t > now() + interval '2 years 1 day') then
    raise exception 'A time of this batch is outside 1900-01-01 to two years from now.' using errcode = 'MD002';
  end if;
  perform store.make_partitions(dataset, times);
  return query
    select p.range_start, p.range_end from store.partitions(dataset) p
    where exists (select from unnest(times) t where t >= p.range_start and t < p.range_end);
end $$;

-- From when on the rows of a dataset are kept: what lies before, retention drops or has dropped. -infinity: all are kept.
create function store.kept_since(dataset text) returns timestamptz
language sql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
  select case
    when p.keep_for is null then '-infinity'
    else coalesce(
      (
        select a.range_start from store.partitions(p.dataset) a
        where now() - p.keep_for >= a.range_start and now() - p.keep_for < a.range_end
      ),
      date_trunc(p.partition_width, now() - p.keep_for)
    )
  end
  from store.policies p where p.dataset = kept_since.dataset
$$;

-- All policies, datasets before their aggregates.
create function mds.read_policies()
returns table (
  dataset text, source text, timeframe text, partition_width text, compress_after text, keep_for text, enabled boolean,
  updated_at timestamptz
)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select p.dataset, p.source, p.timeframe, p.partition_width, store.duration_text(p.compress_after),
    store.duration_text(p.keep_for), p.enabled, p.updated_at
  from store.policies p
  order by coalesce(p.source, p.dataset) collate "C", p.source is not null, p.dataset collate "C"
$$;

-- Changes fields of one policy, the others stay; true when that changed anything. With check_only it only refuses what
-- it would refuse. A width holds for partitions made from then on.
create function mds.set_policy(dataset text, changes jsonb, check_only boolean) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  before store.policies;
  wanted store.policies;
  width interval;
  narrower text;
begin
  perform pg_advisory_xact_lock(hashtext('mds.ensure_partitions'), hashtext(set_policy.dataset));
  select p.* into before from store.policies p where p.dataset = set_policy.dataset for update;
  if not found then
    raise exception 'There is no dataset "%".', set_policy.dataset using errcode = 'MD009';
  elsif jsonb_typeof(changes) is distinct from 'object'
    or changes - array['partition_width', 'compress_after', 'keep_for', 'enabled'] <> '{}'
  then
    raise exception 'A policy has partition_width, compress_after, keep_for and enabled, and nothing else.' using errcode = 'MD009';
  end if;
  wanted := jsonb_populate_record(before, changes);
  if wanted.partition_width is null or wanted.partition_width not in ('month', 'year') or wanted.enabled is null then
    raise exception 'The partition width of % must be month or year, and it is enabled or not.', set_policy.dataset using errcode = 'MD009';
  elsif (wanted.compress_after is not null and store.duration_text(wanted.compress_after) is null)
    or (wanted.keep_for is not null and store.duration_text(wanted.keep_for) is null)
  then
    raise exception 'compress_after and keep_for of % must be whole days, months or years.', set_policy.dataset using errcode = 'MD009';
  end if;
  width := ('1 ' || wanted.partition_width)::interval;
  if wanted.keep_for < width then
    raise exception '% cannot be kept for % in partitions of one %: rows go with their whole partition, and would stay more than twice as long as that; keep them longer%.',
      set_policy.dataset, store.duration_text(wanted.keep_for), wanted.partition_width,
      case wanted.partition_width when 'year' then ', or set partition_width to month' else '' end using errcode = 'MD009';
  elsif wanted.compress_after >= wanted.keep_for then
    raise exception '% cannot be compressed after % when it is kept for % only.', set_policy.dataset,
      store.duration_text(wanted.compress_after), store.duration_text(wanted.keep_for) using errcode = 'MD009';
  end if;
  if wanted.partition_width <> before.partition_width then
    narrower := (
      select a.partition_name from store.all_partitions(set_policy.dataset) a
      where a.range_end < a.range_start + width order by a.range_start desc limit 1
    );
    if narrower is not null then
      raise exception 'The partition width of % cannot become one %: there are narrower partitions, such as %.',
        set_policy.dataset, wanted.partition_width, narrower using errcode = 'MD009';
    end if;
  end if;
  -- As text, because a month equals 30 days.
  if wanted::text = before::text then
    return false;
  end if;
  if not check_only then
    update store.policies p set
      partition_width = wanted.partition_width, compress_after = wanted.compress_after, keep_for = wanted.keep_for,
      enabled = wanted.enabled, updated_at = now()
    where p.dataset = set_policy.dataset;
  end if;
  return true;
end $$;

revoke execute on function mds.engine, store.duration_text, store.all_partitions, store.make_partitions, store.kept_since,
  mds.read_policies, mds.set_policy from public;
grant execute on function mds.engine to mds_app, mds_admin, mds_reader;
grant execute on function mds.read_policies, mds.set_policy to mds_admin;

-- migrate:down
drop function mds.set_policy(text, jsonb, boolean);
drop function mds.read_policies();
drop function store.kept_since(text);

create or replace function mds.ensure_partitions(dataset text, times timestamptz[])
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

create or replace function store.partitions(dataset text) returns table (partition_name text, range_start timestamptz, range_end timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' as $$
  select c.relname::text, bounds[1]::timestamptz, bounds[2]::timestamptz
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid
  cross join lateral regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM [(]''(.+)''[)] TO [(]''(.+)''[)]') as bounds
  where i.inhparent = to_regclass(format('store.%I', dataset || '_data')) and not i.inhdetachpending
$$;

drop function store.make_partitions(text, timestamptz[]);
drop function store.all_partitions(text);
drop table store.retired_partitions;
insert into store.settings (name, value) select 'partition_width.' || p.dataset, p.partition_width from store.policies p where p.source is null;
drop table store.policies;
drop function store.duration_text(interval);
drop function mds.engine();
