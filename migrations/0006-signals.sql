-- Signals: series, data by year, the tenant's view, and the functions that the client uses. Runs as mds_owner.
-- migrate:up
insert into store.settings (name, value) values ('partition_width.signals', 'year');

create table store.signals_series (
  series_id int4 generated always as identity primary key,
  tenant_id uuid not null references store.tenants (id),
  vendor text not null,
  symbol text not null,
  name text not null,
  unique (tenant_id, vendor, symbol, name),
  constraint vendor_text check (char_length(vendor) between 1 and 64 and vendor = btrim(vendor) and vendor !~ '[[:cntrl:]]'),
  constraint symbol_text check (char_length(symbol) between 1 and 64 and symbol = btrim(symbol) and symbol !~ '[[:cntrl:]]'),
  constraint name_text check (char_length(name) between 1 and 64 and name = btrim(name) and name !~ '[[:cntrl:]]')
);

create table store.signals_data (
  series_id int4 not null,
  ts timestamptz not null,
  value float8 not null,
  score float8,
  metadata jsonb,
  primary key (series_id, ts),
  constraint value_range check (value > '-infinity' and value < 'infinity'),
  constraint score_range check (score > '-infinity' and score < 'infinity'),
  constraint metadata_object check (jsonb_typeof(metadata) = 'object')
) partition by range (ts);

-- What tenants store must not show in the planner's estimates, so statistics are kept of ids only.
alter table store.signals_series
  alter column vendor set statistics 0,
  alter column symbol set statistics 0,
  alter column name set statistics 0;
alter table store.signals_data
  alter column ts set statistics 0,
  alter column value set statistics 0,
  alter column score set statistics 0,
  alter column metadata set statistics 0;

create function store.own_signals_series() returns table (series_id int4, vendor text, symbol text, name text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select s.series_id, s.vendor, s.symbol, s.name
  from store.signals_series s where s.tenant_id = (select store.current_tenant())
$$;

-- The order keeps the inner query one of its own, run for each of the tenant's series; it sorts nothing. In a plain join
-- the planner may filter all tenants' rows by a reader's condition first, and explain analyze then counts them.
create view mds.signals with (security_barrier) as
select s.vendor, s.symbol, s.name, d.ts, d.value, d.score, d.metadata
from store.own_signals_series() s
cross join lateral (
  select d.ts, d.value, d.score, d.metadata
  from store.signals_data d where d.series_id = s.series_id order by d.series_id
) d;

-- Answers with the series' ids in the order asked; makes those that are missing.
-- An anti-join first: "on conflict do nothing" alone would burn an id for every known series.
create function mds.ensure_signals_series(vendor_values text[], symbol_values text[], name_values text[]) returns int4[]
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  tenant uuid := store.require_tenant();
begin
  insert into store.signals_series (tenant_id, vendor, symbol, name)
  select distinct tenant, w.vendor, w.symbol, w.name
  from unnest(vendor_values, symbol_values, name_values) as w (vendor, symbol, name)
  where not exists (select from store.signals_series s where s.tenant_id = tenant and s.vendor = w.vendor and s.symbol = w.symbol and s.name = w.name)
  order by w.vendor, w.symbol, w.name
  on conflict do nothing;
  return (
    select array_agg(s.series_id order by w.position)
    from unnest(vendor_values, symbol_values, name_values) with ordinality as w (vendor, symbol, name, position)
    join store.signals_series s on s.tenant_id = tenant and s.vendor = w.vendor and s.symbol = w.symbol and s.name = w.name
  );
end $$;

-- The tenant's series, from behind one of them where it is given; a null array means any. The tenant is looked up
-- first, and so is that one: were they part of the query, whether it is done would tell that somebody has such a series.
create function mds.find_signals_series(
  vendor_values text[], symbol_values text[], name_values text[],
  ignore_case boolean, max_series int4, after_series int4 default null
)
returns table (series_id int4, vendor text, symbol text, name text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  tenant uuid := store.current_tenant();
  behind store.signals_series;
begin
  select a.* into behind from store.signals_series a where a.series_id = after_series and a.tenant_id = tenant;
  return query
    select s.series_id, s.vendor, s.symbol, s.name
    from store.signals_series s
    where s.tenant_id = tenant
      and (vendor_values is null or s.vendor = any (vendor_values)
        or (ignore_case and lower(s.vendor) = any (select lower(g) from unnest(vendor_values) as g)))
      and (symbol_values is null or s.symbol = any (symbol_values)
        or (ignore_case and lower(s.symbol) = any (select lower(g) from unnest(symbol_values) as g)))
      and (name_values is null or s.name = any (name_values)
        or (ignore_case and lower(s.name) = any (select lower(g) from unnest(name_values) as g)))
      and (after_series is null or (s.vendor collate "C", s.symbol collate "C", s.name collate "C") > (behind.vendor, behind.symbol, behind.name))
    order by s.vendor collate "C", s.symbol collate "C", s.name collate "C"
    limit max_series;
end $$;

-- One batch: parallel arrays in key order, every key once. A value column whose array is null is absent and keeps what is
-- stored. Rows that the absent columns make impossible come back in "rejected" (1-based positions with their reasons);
-- then nothing was written and the caller sends the others again.
create function mds.upsert_signals(
  series_ids int4[],
  times timestamptz[],
  value_values float8[],
  score_values float8[],
  metadata_values jsonb[],
  out inserted int8, out updated int8, out unchanged int8, out rejected int4[], out reasons text[]
)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan set jit = off
set enable_seqscan = off set enable_bitmapscan = off set enable_nestloop = off set enable_mergejoin = off as $$
declare
  tenant uuid := store.require_tenant();
  size int4 := cardinality(series_ids);
  ids int4[] := array(select distinct i from unnest(series_ids) i);
  first_time timestamptz;
  last_time timestamptz;
  nearby int8;
  by_key boolean;
begin
  if cardinality(ids) > (
    select count(*) from store.signals_series s where s.series_id = any (ids) and s.tenant_id = tenant
  ) then
    raise exception 'A series of this batch does not exist.' using errcode = 'MD001';
  end if;
  select min(t), max(t) into first_time, last_time from unnest(times) t;
  -- Stored rows between the batch's first key and its last: none in new ground; few in a replay; many where the batch is
  -- scattered over a long history, and then its keys are looked up one by one.
  select count(*) into nearby
  from (
    select from store.signals_data s
    where s.series_id = any (ids) and s.ts between first_time and last_time
      and (s.series_id, s.ts) between (series_ids[1], times[1]) and (series_ids[size], times[size])
    limit 4 * size + 1
  ) s;
  by_key := nearby > 4 * size;
  if value_values is null then
    select array_agg(j.position), array_agg(j.reason) into rejected, reasons
    from (
      select m.position, case
        when m.value is null then 'field_missing'
        
        end as reason
      from (
        select n.position,
          case when value_values is null then d.value else n.value end as value,
          case when score_values is null then d.score else n.score end as score,
          case when metadata_values is null then d.metadata else n.metadata end as metadata
        from (
      select unnest(series_ids) as series_id, unnest(times) as ts,
        unnest(value_values) as value,
        unnest(score_values) as score,
        unnest(metadata_values) as metadata,
        generate_subscripts(series_ids, 1) as position
    ) n
        left join (
      select * from store.signals_data s
      where not by_key and s.series_id = any (ids) and s.ts between first_time and last_time
      union all
      select s.* from unnest(series_ids, times) as k (series_id, ts)
      cross join lateral (
        select * from store.signals_data s where s.series_id = k.series_id and s.ts = k.ts and s.ts between first_time and last_time limit 1
      ) s
      where by_key
    ) d on d.series_id = n.series_id and d.ts = n.ts
      ) m
    ) j
    where j.reason is not null;
    if rejected is not null then
      return;
    end if;
  end if;
  for attempt in 1..2 loop
    if nearby = 0 then
      inserted := size;
      updated := 0;
    else
      select count(*) filter (where d.series_id is null), count(*) filter (where d.series_id is not null)
      into inserted, updated
      from (
      select unnest(series_ids) as series_id, unnest(times) as ts,
        unnest(value_values) as value,
        unnest(score_values) as score,
        unnest(metadata_values) as metadata
    ) n
      left join (
      select * from store.signals_data s
      where not by_key and s.series_id = any (ids) and s.ts between first_time and last_time
      union all
      select s.* from unnest(series_ids, times) as k (series_id, ts)
      cross join lateral (
        select * from store.signals_data s where s.series_id = k.series_id and s.ts = k.ts and s.ts between first_time and last_time limit 1
      ) s
      where by_key
    ) d on d.series_id = n.series_id and d.ts = n.ts
      where d.series_id is null or (d.value, d.score, d.metadata) is distinct from (
      case when value_values is null then d.value else n.value end,
      case when score_values is null then d.score else n.score end,
      case when metadata_values is null then d.metadata else n.metadata end);
    end if;
    exit when inserted + updated = 0;
    if inserted = size and attempt = 1 then
      begin
        insert into store.signals_data (series_id, ts, value, score, metadata)
        select n.series_id, n.ts, n.value, n.score, n.metadata
        from (
      select unnest(series_ids) as series_id, unnest(times) as ts,
        unnest(value_values) as value,
        unnest(score_values) as score,
        unnest(metadata_values) as metadata
    ) n
        order by n.series_id, n.ts;
        exit;
      exception when unique_violation then
        nearby := size; -- Another session wrote one of these keys in this moment: look again.
        by_key := true;
        continue;
      end;
    end if;
    insert into store.signals_data as d (series_id, ts, value, score, metadata)
    select n.series_id, n.ts,
      case when value_values is null then d.value else n.value end,
      case when score_values is null then d.score else n.score end,
      case when metadata_values is null then d.metadata else n.metadata end
    from (
      select unnest(series_ids) as series_id, unnest(times) as ts,
        unnest(value_values) as value,
        unnest(score_values) as score,
        unnest(metadata_values) as metadata
    ) n
    left join (
      select * from store.signals_data s
      where not by_key and s.series_id = any (ids) and s.ts between first_time and last_time
      union all
      select s.* from unnest(series_ids, times) as k (series_id, ts)
      cross join lateral (
        select * from store.signals_data s where s.series_id = k.series_id and s.ts = k.ts and s.ts between first_time and last_time limit 1
      ) s
      where by_key
    ) d on d.series_id = n.series_id and d.ts = n.ts
    where d.series_id is null or (d.value, d.score, d.metadata) is distinct from (
      case when value_values is null then d.value else n.value end,
      case when score_values is null then d.score else n.score end,
      case when metadata_values is null then d.metadata else n.metadata end)
    order by n.series_id, n.ts
    on conflict (series_id, ts) do update set
      value = case when value_values is null then d.value else excluded.value end,
      score = case when score_values is null then d.score else excluded.score end,
      metadata = case when metadata_values is null then d.metadata else excluded.metadata end
    where (d.value, d.score, d.metadata) is distinct from (
      case when value_values is null then d.value else excluded.value end,
      case when score_values is null then d.score else excluded.score end,
      case when metadata_values is null then d.metadata else excluded.metadata end);
    exit;
  end loop;
  unchanged := size - inserted - updated;
end $$;

-- The first rows of a half-open window, series by series in the order given, each in time order, at most max_rows.
-- A foreign id gives no rows. A loop, because a join over all series would sort every window before its first row. By
-- the index only: a kept plan may stem from the time when a partition was empty.
create function mds.read_signals(
  series_ids int4[], window_start timestamptz, window_end timestamptz, newest_first boolean, max_rows int4
)
returns table (
  series_id int4, ts timestamptz, value float8, score float8, metadata jsonb
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
  tenant uuid := store.current_tenant();
  series int4;
  wanted int4 := max_rows;
  found_rows int4;
begin
  for series in
    select s.series_id from unnest(series_ids) with ordinality as w (series_id, position)
    join store.signals_series s on s.series_id = w.series_id and s.tenant_id = tenant
    order by w.position
  loop
    if newest_first then
      return query
        select d.series_id, d.ts, d.value, d.score, d.metadata from store.signals_data d
        where d.series_id = series and d.ts >= window_start and d.ts < window_end
        order by d.ts desc limit wanted;
    else
      return query
        select d.series_id, d.ts, d.value, d.score, d.metadata from store.signals_data d
        where d.series_id = series and d.ts >= window_start and d.ts < window_end
        order by d.ts asc limit wanted;
    end if;
    get diagnostics found_rows = row_count;
    wanted := wanted - found_rows;
    exit when wanted <= 0;
  end loop;
end $$;

revoke execute on function store.own_signals_series, mds.find_signals_series, mds.read_signals, mds.ensure_signals_series, mds.upsert_signals from public;
grant execute on function store.own_signals_series, mds.find_signals_series, mds.read_signals to mds_app, mds_reader;
grant execute on function mds.ensure_signals_series, mds.upsert_signals to mds_app;
grant select on mds.signals to mds_app, mds_reader;

-- Signals only, from here on.

-- The newest value of each signal.
create function mds.read_latest_signals(vendor_values text[], symbol_values text[], name_values text[])
returns table (vendor text, symbol text, name text, ts timestamptz, value float8, score float8, metadata jsonb)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  tenant uuid := store.current_tenant();
begin
  return query
    with series as materialized (
      select s.series_id, s.vendor, s.symbol, s.name
      from store.signals_series s
      where s.tenant_id = tenant
        and (vendor_values is null or s.vendor = any (vendor_values))
        and (symbol_values is null or s.symbol = any (symbol_values))
        and (name_values is null or s.name = any (name_values))
    )
    select s.vendor, s.symbol, s.name, d.ts, d.value, d.score, d.metadata
    from store.last_times('signals', 'ts', (select array_agg(series_id) from series), 'infinity') l
    join series s on s.series_id = l.series_id
    join store.signals_data d on d.series_id = l.series_id and d.ts = l.last_time
    order by s.vendor collate "C", s.symbol collate "C", s.name collate "C";
end $$;

-- Count, last, mean, least and greatest value of each signal in a half-open window.
create function mds.summarize_signals(
  vendor_values text[], symbol_values text[], name_values text[], window_start timestamptz, window_end timestamptz
)
returns table (
  vendor text, symbol text, name text, count int8, last float8, last_ts timestamptz, mean float8, min float8, max float8
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  tenant uuid := store.current_tenant();
begin
  return query
    select s.vendor, s.symbol, s.name, a.count, a.last, a.last_ts, a.mean, a.min, a.max
    from store.signals_series s
    cross join lateral (
      select count(*) as count, (array_agg(d.value order by d.ts desc))[1] as last, max(d.ts) as last_ts,
        avg(d.value) as mean, min(d.value) as min, max(d.value) as max
      from store.signals_data d
      where d.series_id = s.series_id and d.ts >= window_start and d.ts < window_end
    ) a
    where s.tenant_id = tenant
      and (vendor_values is null or s.vendor = any (vendor_values))
      and (symbol_values is null or s.symbol = any (symbol_values))
      and (name_values is null or s.name = any (name_values))
      and a.count > 0
    order by s.vendor collate "C", s.symbol collate "C", s.name collate "C";
end $$;

revoke execute on function mds.read_latest_signals, mds.summarize_signals from public;
grant execute on function mds.read_latest_signals, mds.summarize_signals to mds_app, mds_reader;

-- migrate:down
drop function mds.summarize_signals(text[], text[], text[], timestamptz, timestamptz);
drop function mds.read_latest_signals(text[], text[], text[]);
drop function mds.read_signals(int4[], timestamptz, timestamptz, boolean, int4);
drop function mds.upsert_signals(int4[], timestamptz[], float8[], float8[], jsonb[]);
drop function mds.find_signals_series(text[], text[], text[], boolean, int4, int4);
drop function mds.ensure_signals_series(text[], text[], text[]);
drop view mds.signals;
drop function store.own_signals_series();
drop table store.signals_data;
drop table store.signals_series;
delete from store.settings where name = 'partition_width.signals';
