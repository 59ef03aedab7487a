-- Fundamentals: series, data by year, the tenant's view, and the functions that the client uses. Runs as mds_owner.
-- migrate:up
insert into store.settings (name, value) values ('partition_width.fundamentals', 'year');

create table store.fundamentals_series (
  series_id int4 generated always as identity primary key,
  tenant_id uuid not null references store.tenants (id),
  vendor text not null,
  symbol text not null,
  unique (tenant_id, vendor, symbol),
  constraint vendor_text check (char_length(vendor) between 1 and 64 and vendor = btrim(vendor) and vendor !~ '[[:cntrl:]]'),
  constraint symbol_text check (char_length(symbol) between 1 and 64 and symbol = btrim(symbol) and symbol !~ '[[:cntrl:]]')
);

create table store.fundamentals_data (
  series_id int4 not null,
  asof timestamptz not null,
  total_assets numeric(25,2),
  total_liabilities numeric(25,2),
  net_income numeric(25,2),
  eps numeric(14,6),
  metrics jsonb,
  primary key (series_id, asof),
  constraint total_assets_range check (total_assets <> 'NaN'),
  constraint total_liabilities_range check (total_liabilities <> 'NaN'),
  constraint net_income_range check (net_income <> 'NaN'),
  constraint eps_range check (eps <> 'NaN'),
  constraint metrics_object check (jsonb_typeof(metrics) = 'object')
) partition by range (asof);

-- What tenants store must not show in the planner's estimates, so statistics are kept of ids only.
alter table store.fundamentals_series
  alter column vendor set statistics 0,
  alter column symbol set statistics 0;
alter table store.fundamentals_data
  alter column asof set statistics 0,
  alter column total_assets set statistics 0,
  alter column total_liabilities set statistics 0,
  alter column net_income set statistics 0,
  alter column eps set statistics 0,
  alter column metrics set statistics 0;

create function store.own_fundamentals_series() returns table (series_id int4, vendor text, symbol text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select s.series_id, s.vendor, s.symbol
  from store.fundamentals_series s where s.tenant_id = (select store.current_tenant())
$$;

-- The order keeps the inner query one of its own, run for each of the tenant's series; it sorts nothing. In a plain join
-- the planner may filter all tenants' rows by a reader's condition first, and explain analyze then counts them.
create view mds.fundamentals with (security_barrier) as
select s.vendor, s.symbol, d.asof, d.total_assets, d.total_liabilities, d.net_income, d.eps, d.metrics
from store.own_fundamentals_series() s
cross join lateral (
  select d.asof, d.total_assets, d.total_liabilities, d.net_income, d.eps, d.metrics
  from store.fundamentals_data d where d.series_id = s.series_id order by d.series_id
) d;

-- Answers with the series' ids in the order asked; makes those that are missing.
-- An anti-join first: "on conflict do nothing" alone would burn an id for every known series.
create function mds.ensure_fundamentals_series(vendor_values text[], symbol_values text[]) returns int4[]
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  tenant uuid := store.require_tenant();
begin
  insert into store.fundamentals_series (tenant_id, vendor, symbol)
  select distinct tenant, w.vendor, w.symbol
  from unnest(vendor_values, symbol_values) as w (vendor, symbol)
  where not exists (select from store.fundamentals_series s where s.tenant_id = tenant and s.vendor = w.vendor and s.symbol = w.symbol)
  order by w.vendor, w.symbol
  on conflict do nothing;
  return (
    select array_agg(s.series_id order by w.position)
    from unnest(vendor_values, symbol_values) with ordinality as w (vendor, symbol, position)
    join store.fundamentals_series s on s.tenant_id = tenant and s.vendor = w.vendor and s.symbol = w.symbol
  );
end $$;

-- The tenant's series, from behind one of them where it is given; a null array means any. The tenant is looked up
-- first, and so is that one: were they part of the query, whether it is done would tell that somebody has such a series.
create function mds.find_fundamentals_series(
  vendor_values text[], symbol_values text[],
  ignore_case boolean, max_series int4, after_series int4 default null
)
returns table (series_id int4, vendor text, symbol text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  tenant uuid := store.current_tenant();
  behind store.fundamentals_series;
begin
  select a.* into behind from store.fundamentals_series a where a.series_id = after_series and a.tenant_id = tenant;
  return query
    select s.series_id, s.vendor, s.symbol
    from store.fundamentals_series s
    where s.tenant_id = tenant
      and (vendor_values is null or s.vendor = any (vendor_values)
        or (ignore_case and lower(s.vendor) = any (select lower(g) from unnest(vendor_values) as g)))
      and (symbol_values is null or s.symbol = any (symbol_values)
        or (ignore_case and lower(s.symbol) = any (select lower(g) from unnest(symbol_values) as g)))
      and (after_series is null or (s.vendor collate "C", s.symbol collate "C") > (behind.vendor, behind.symbol))
    order by s.vendor collate "C", s.symbol collate "C"
    limit max_series;
end $$;

-- One batch: parallel arrays in key order, every key once. A value column whose array is null is absent and keeps what is
-- stored. Rows that the absent columns make impossible come back in "rejected" (1-based positions with their reasons);
-- then nothing was written and the caller sends the others again.
create function mds.upsert_fundamentals(
  series_ids int4[],
  times timestamptz[],
  total_assets_values numeric[],
  total_liabilities_values numeric[],
  net_income_values numeric[],
  eps_values numeric[],
  metrics_values jsonb[],
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
    select count(*) from store.fundamentals_series s where s.series_id = any (ids) and s.tenant_id = tenant
  ) then
    raise exception 'A series of this batch does not exist.' using errcode = 'MD001';
  end if;
  select min(t), max(t) into first_time, last_time from unnest(times) t;
  -- Stored rows between the batch's first key and its last: none in new ground; few in a replay; many where the batch is
  -- scattered over a long history, and then its keys are looked up one by one.
  select count(*) into nearby
  from (
    select from store.fundamentals_data s
    where s.series_id = any (ids) and s.asof between first_time and last_time
      and (s.series_id, s.asof) between (series_ids[1], times[1]) and (series_ids[size], times[size])
    limit 4 * size + 1
  ) s;
  by_key := nearby > 4 * size;
  if exists (select from unnest(total_assets_values) v where v <> round(v, 2))
    or exists (select from unnest(total_liabilities_values) v where v <> round(v, 2))
    or exists (select from unnest(net_income_values) v where v <> round(v, 2))
    or exists (select from unnest(eps_values) v where v <> round(v, 6)) then
    raise exception 'A number of this batch has more decimal places than its column keeps.' using errcode = '22003';
  end if;
  for attempt in 1..2 loop
    if nearby = 0 then
      inserted := size;
      updated := 0;
    else
      select count(*) filter (where d.series_id is null), count(*) filter (where d.series_id is not null)
      into inserted, updated
      from (
      select unnest(series_ids) as series_id, unnest(times) as asof,
        unnest(total_assets_values) as total_assets,
        unnest(total_liabilities_values) as total_liabilities,
        unnest(net_income_values) as net_income,
        unnest(eps_values) as eps,
        unnest(metrics_values) as metrics
    ) n
      left join (
      select * from store.fundamentals_data s
      where not by_key and s.series_id = any (ids) and s.asof between first_time and last_time
      union all
      select s.* from unnest(series_ids, times) as k (series_id, asof)
      cross join lateral (
        select * from store.fundamentals_data s where s.series_id = k.series_id and s.asof = k.asof and s.asof between first_time and last_time limit 1
      ) s
      where by_key
    ) d on d.series_id = n.series_id and d.asof = n.asof
      where d.series_id is null or (d.total_assets, d.total_liabilities, d.net_income, d.eps, d.metrics) is distinct from (
      case when total_assets_values is null then d.total_assets else n.total_assets end,
      case when total_liabilities_values is null then d.total_liabilities else n.total_liabilities end,
      case when net_income_values is null then d.net_income else n.net_income end,
      case when eps_values is null then d.eps else n.eps end,
      case when metrics_values is null then d.metrics else n.metrics end);
    end if;
    exit when inserted + updated = 0;
    if inserted = size and attempt = 1 then
      begin
        insert into store.fundamentals_data (series_id, asof, total_assets, total_liabilities, net_income, eps, metrics)
        select n.series_id, n.asof, n.total_assets, n.total_liabilities, n.net_income, n.eps, n.metrics
        from (
      select unnest(series_ids) as series_id, unnest(times) as asof,
        unnest(total_assets_values) as total_assets,
        unnest(total_liabilities_values) as total_liabilities,
        unnest(net_income_values) as net_income,
        unnest(eps_values) as eps,
        unnest(metrics_values) as metrics
    ) n
        order by n.series_id, n.asof;
        exit;
      exception when unique_violation then
        nearby := size; -- Another session wrote one of these keys in this moment: look again.
        by_key := true;
        continue;
      end;
    end if;
    insert into store.fundamentals_data as d (series_id, asof, total_assets, total_liabilities, net_income, eps, metrics)
    select n.series_id, n.asof,
      case when total_assets_values is null then d.total_assets else n.total_assets end,
      case when total_liabilities_values is null then d.total_liabilities else n.total_liabilities end,
      case when net_income_values is null then d.net_income else n.net_income end,
      case when eps_values is null then d.eps else n.eps end,
      case when metrics_values is null then d.metrics else n.metrics end
    from (
      select unnest(series_ids) as series_id, unnest(times) as asof,
        unnest(total_assets_values) as total_assets,
        unnest(total_liabilities_values) as total_liabilities,
        unnest(net_income_values) as net_income,
        unnest(eps_values) as eps,
        unnest(metrics_values) as metrics
    ) n
    left join (
      select * from store.fundamentals_data s
      where not by_key and s.series_id = any (ids) and s.asof between first_time and last_time
      union all
      select s.* from unnest(series_ids, times) as k (series_id, asof)
      cross join lateral (
        select * from store.fundamentals_data s where s.series_id = k.series_id and s.asof = k.asof and s.asof between first_time and last_time limit 1
      ) s
      where by_key
    ) d on d.series_id = n.series_id and d.asof = n.asof
    where d.series_id is null or (d.total_assets, d.total_liabilities, d.net_income, d.eps, d.metrics) is distinct from (
      case when total_assets_values is null then d.total_assets else n.total_assets end,
      case when total_liabilities_values is null then d.total_liabilities else n.total_liabilities end,
      case when net_income_values is null then d.net_income else n.net_income end,
      case when eps_values is null then d.eps else n.eps end,
      case when metrics_values is null then d.metrics else n.metrics end)
    order by n.series_id, n.asof
    on conflict (series_id, asof) do update set
      total_assets = case when total_assets_values is null then d.total_assets else excluded.total_assets end,
      total_liabilities = case when total_liabilities_values is null then d.total_liabilities else excluded.total_liabilities end,
      net_income = case when net_income_values is null then d.net_income else excluded.net_income end,
      eps = case when eps_values is null then d.eps else excluded.eps end,
      metrics = case when metrics_values is null then d.metrics else excluded.metrics end
    where (d.total_assets, d.total_liabilities, d.net_income, d.eps, d.metrics) is distinct from (
      case when total_assets_values is null then d.total_assets else excluded.total_assets end,
      case when total_liabilities_values is null then d.total_liabilities else excluded.total_liabilities end,
      case when net_income_values is null then d.net_income else excluded.net_income end,
      case when eps_values is null then d.eps else excluded.eps end,
      case when metrics_values is null then d.metrics else excluded.metrics end);
    exit;
  end loop;
  unchanged := size - inserted - updated;
end $$;

-- The first rows of a half-open window, series by series in the order given, each in time order, at most max_rows.
-- A foreign id gives no rows. A loop, because a join over all series would sort every window before its first row. By
-- the index only: a kept plan may stem from the time when a partition was empty.
create function mds.read_fundamentals(
  series_ids int4[], window_start timestamptz, window_end timestamptz, newest_first boolean, max_rows int4
)
returns table (
  series_id int4, asof timestamptz, total_assets numeric, total_liabilities numeric, net_income numeric, eps numeric, metrics jsonb
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
    join store.fundamentals_series s on s.series_id = w.series_id and s.tenant_id = tenant
    order by w.position
  loop
    if newest_first then
      return query
        select d.series_id, d.asof, d.total_assets, d.total_liabilities, d.net_income, d.eps, d.metrics from store.fundamentals_data d
        where d.series_id = series and d.asof >= window_start and d.asof < window_end
        order by d.asof desc limit wanted;
    else
      return query
        select d.series_id, d.asof, d.total_assets, d.total_liabilities, d.net_income, d.eps, d.metrics from store.fundamentals_data d
        where d.series_id = series and d.asof >= window_start and d.asof < window_end
        order by d.asof asc limit wanted;
    end if;
    get diagnostics found_rows = row_count;
    wanted := wanted - found_rows;
    exit when wanted <= 0;
  end loop;
end $$;

revoke execute on function store.own_fundamentals_series, mds.find_fundamentals_series, mds.read_fundamentals, mds.ensure_fundamentals_series, mds.upsert_fundamentals from public;
grant execute on function store.own_fundamentals_series, mds.find_fundamentals_series, mds.read_fundamentals to mds_app, mds_reader;
grant execute on function mds.ensure_fundamentals_series, mds.upsert_fundamentals to mds_app;
grant select on mds.fundamentals to mds_app, mds_reader;

-- migrate:down
drop function mds.read_fundamentals(int4[], timestamptz, timestamptz, boolean, int4);
drop function mds.upsert_fundamentals(int4[], timestamptz[], numeric[], numeric[], numeric[], numeric[], jsonb[]);
drop function mds.find_fundamentals_series(text[], text[], boolean, int4, int4);
drop function mds.ensure_fundamentals_series(text[], text[]);
drop view mds.fundamentals;
drop function store.own_fundamentals_series();
drop table store.fundamentals_data;
drop table store.fundamentals_series;
delete from store.settings where name = 'partition_width.fundamentals';
