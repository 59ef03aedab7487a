-- Bars: series, data by month, the tenant's views, and the functions that the client uses. Runs as mds_owner.
-- migrate:up
insert into store.settings (name, value) values ('partition_width.bars', 'month');

create table store.bars_series (
  series_id int4 generated always as identity primary key,
  tenant_id uuid not null references store.tenants (id),
  vendor text not null,
  symbol text not null,
  timeframe text not null,
  unique (tenant_id, vendor, symbol, timeframe),
  constraint vendor_text check (char_length(vendor) between 1 and 64 and vendor = btrim(vendor) and vendor !~ '[[:cntrl:]]'),
  constraint symbol_text check (char_length(symbol) between 1 and 64 and symbol = btrim(symbol) and symbol !~ '[[:cntrl:]]'),
  constraint timeframe_known check (timeframe in ('1s', '5s', '1m', '3m', '5m', '15m', '30m', '1h', '2h', '4h', '1d', '1w', '1mo'))
);

create table store.bars_data (
  series_id int4 not null,
  ts timestamptz not null,
  open_price float8 not null,
  high_price float8 not null,
  low_price float8 not null,
  close_price float8 not null,
  volume float8 not null,
  trade_count int8,
  vwap float8,
  primary key (series_id, ts),
  constraint open_price_range check (open_price > '-infinity' and open_price < 'infinity'),
  constraint high_price_range check (high_price > '-infinity' and high_price < 'infinity'),
  constraint low_price_range check (low_price > '-infinity' and low_price < 'infinity'),
  constraint close_price_range check (close_price > '-infinity' and close_price < 'infinity'),
  constraint volume_range check (volume >= 0 and volume < 'infinity'),
  constraint trade_count_range check (trade_count >= 0),
  constraint vwap_range check (vwap > '-infinity' and vwap < 'infinity'),
  constraint low_is_lowest check (low_price <= open_price and low_price <= close_price and low_price <= high_price),
  constraint high_is_highest check (high_price >= open_price and high_price >= close_price)
) partition by range (ts);

-- What tenants store must not show in the planner's estimates, so statistics are kept of ids only.
alter table store.bars_series
  alter column vendor set statistics 0,
  alter column symbol set statistics 0,
  alter column timeframe set statistics 0;
alter table store.bars_data
  alter column ts set statistics 0,
  alter column open_price set statistics 0,
  alter column high_price set statistics 0,
  alter column low_price set statistics 0,
  alter column close_price set statistics 0,
  alter column volume set statistics 0,
  alter column trade_count set statistics 0,
  alter column vwap set statistics 0;

create function store.own_bars_series() returns table (series_id int4, vendor text, symbol text, timeframe text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select s.series_id, s.vendor, s.symbol, s.timeframe
  from store.bars_series s where s.tenant_id = (select store.current_tenant())
$$;

-- The order keeps the inner query one of its own, run for each of the tenant's series; it sorts nothing. In a plain join
-- the planner may filter all tenants' rows by a reader's condition first, and explain analyze then counts them.
create view mds.bars with (security_barrier) as
select s.vendor, s.symbol, s.timeframe, d.ts, d.open_price, d.high_price, d.low_price, d.close_price, d.volume, d.trade_count, d.vwap
from store.own_bars_series() s
cross join lateral (
  select d.ts, d.open_price, d.high_price, d.low_price, d.close_price, d.volume, d.trade_count, d.vwap
  from store.bars_data d where d.series_id = s.series_id order by d.series_id
) d;

-- Answers with the series' ids in the order asked; makes those that are missing.
-- An anti-join first: "on conflict do nothing" alone would burn an id for every known series.
create function mds.ensure_bars_series(vendor_values text[], symbol_values text[], timeframe_values text[]) returns int4[]
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  tenant uuid := store.require_tenant();
begin
  insert into store.bars_series (tenant_id, vendor, symbol, timeframe)
  select distinct tenant, w.vendor, w.symbol, w.timeframe
  from unnest(vendor_values, symbol_values, timeframe_values) as w (vendor, symbol, timeframe)
  where not exists (select from store.bars_series s where s.tenant_id = tenant and s.vendor = w.vendor and s.symbol = w.symbol and s.timeframe = w.timeframe)
  order by w.vendor, w.symbol, w.timeframe
  on conflict do nothing;
  return (
    select array_agg(s.series_id order by w.position)
    from unnest(vendor_values, symbol_values, timeframe_values) with ordinality as w (vendor, symbol, timeframe, position)
    join store.bars_series s on s.tenant_id = tenant and s.vendor = w.vendor and s.symbol = w.symbol and s.timeframe = w.timeframe
  );
end $$;

-- The tenant's series, from behind one of them where it is given; a null array means any. The tenant is looked up
-- first, and so is that one: were they part of the query, whether it is done would tell that somebody has such a series.
create function mds.find_bars_series(
  vendor_values text[], symbol_values text[], timeframe_values text[],
  ignore_case boolean, max_series int4, after_series int4 default null
)
returns table (series_id int4, vendor text, symbol text, timeframe text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  tenant uuid := store.current_tenant();
  behind store.bars_series;
begin
  select a.* into behind from store.bars_series a where a.series_id = after_series and a.tenant_id = tenant;
  return query
    select s.series_id, s.vendor, s.symbol, s.timeframe
    from store.bars_series s
    where s.tenant_id = tenant
      and (vendor_values is null or s.vendor = any (vendor_values)
        or (ignore_case and lower(s.vendor) = any (select lower(g) from unnest(vendor_values) as g)))
      and (symbol_values is null or s.symbol = any (symbol_values)
        or (ignore_case and lower(s.symbol) = any (select lower(g) from unnest(symbol_values) as g)))
      and (timeframe_values is null or s.timeframe = any (timeframe_values)
        or (ignore_case and lower(s.timeframe) = any (select lower(g) from unnest(timeframe_values) as g)))
      and (after_series is null or (s.vendor collate "C", s.symbol collate "C", s.timeframe collate "C") > (behind.vendor, behind.symbol, behind.timeframe))
    order by s.vendor collate "C", s.symbol collate "C", s.timeframe collate "C"
    limit max_series;
end $$;

-- One batch: parallel arrays in key order, every key once. A value column whose array is null is absent and keeps what is
-- stored. Rows that the absent columns make impossible come back in "rejected" (1-based positions with their reasons);
-- then nothing was written and the caller sends the others again.
create function mds.upsert_bars(
  series_ids int4[],
  times timestamptz[],
  open_price_values float8[],
  high_price_values float8[],
  low_price_values float8[],
  close_price_values float8[],
  volume_values float8[],
  trade_count_values int8[],
  vwap_values float8[],
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
    select count(*) from store.bars_series s where s.series_id = any (ids) and s.tenant_id = tenant
  ) then
    raise exception 'A series of this batch does not exist.' using errcode = 'MD001';
  end if;
  select min(t), max(t) into first_time, last_time from unnest(times) t;
  -- Stored rows between the batch's first key and its last: none in new ground; few in a replay; many where the batch is
  -- scattered over a long history, and then its keys are looked up one by one.
  select count(*) into nearby
  from (
    select from store.bars_data s
    where s.series_id = any (ids) and s.ts between first_time and last_time
      and (s.series_id, s.ts) between (series_ids[1], times[1]) and (series_ids[size], times[size])
    limit 4 * size + 1
  ) s;
  by_key := nearby > 4 * size;
  if open_price_values is null or high_price_values is null or low_price_values is null or close_price_values is null or volume_values is null then
    select array_agg(j.position), array_agg(j.reason) into rejected, reasons
    from (
      select m.position, case
        when m.open_price is null or m.high_price is null or m.low_price is null or m.close_price is null or m.volume is null then 'field_missing'
        when not (low_price <= open_price and low_price <= close_price and low_price <= high_price) then 'bar_impossible'
        when not (high_price >= open_price and high_price >= close_price) then 'bar_impossible'
        end as reason
      from (
        select n.position,
          case when open_price_values is null then d.open_price else n.open_price end as open_price,
          case when high_price_values is null then d.high_price else n.high_price end as high_price,
          case when low_price_values is null then d.low_price else n.low_price end as low_price,
          case when close_price_values is null then d.close_price else n.close_price end as close_price,
          case when volume_values is null then d.volume else n.volume end as volume,
          case when trade_count_values is null then d.trade_count else n.trade_count end as trade_count,
          case when vwap_values is null then d.vwap else n.vwap end as vwap
        from (
      select unnest(series_ids) as series_id, unnest(times) as ts,
        unnest(open_price_values) as open_price,
        unnest(high_price_values) as high_price,
        unnest(low_price_values) as low_price,
        unnest(close_price_values) as close_price,
        unnest(volume_values) as volume,
        unnest(trade_count_values) as trade_count,
        unnest(vwap_values) as vwap,
        generate_subscripts(series_ids, 1) as position
    ) n
        left join (
      select * from store.bars_data s
      where not by_key and s.series_id = any (ids) and s.ts between first_time and last_time
      union all
      select s.* from unnest(series_ids, times) as k (series_id, ts)
      cross join lateral (
        select * from store.bars_data s where s.series_id = k.series_id and s.ts = k.ts and s.ts between first_time and last_time limit 1
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
        unnest(open_price_values) as open_price,
        unnest(high_price_values) as high_price,
        unnest(low_price_values) as low_price,
        unnest(close_price_values) as close_price,
        unnest(volume_values) as volume,
        unnest(trade_count_values) as trade_count,
        unnest(vwap_values) as vwap
    ) n
      left join (
      select * from store.bars_data s
      where not by_key and s.series_id = any (ids) and s.ts between first_time and last_time
      union all
      select s.* from unnest(series_ids, times) as k (series_id, ts)
      cross join lateral (
        select * from store.bars_data s where s.series_id = k.series_id and s.ts = k.ts and s.ts between first_time and last_time limit 1
      ) s
      where by_key
    ) d on d.series_id = n.series_id and d.ts = n.ts
      where d.series_id is null or (d.open_price, d.high_price, d.low_price, d.close_price, d.volume, d.trade_count, d.vwap) is distinct from (
      case when open_price_values is null then d.open_price else n.open_price end,
      case when high_price_values is null then d.high_price else n.high_price end,
      case when low_price_values is null then d.low_price else n.low_price end,
      case when close_price_values is null then d.close_price else n.close_price end,
      case when volume_values is null then d.volume else n.volume end,
      case when trade_count_values is null then d.trade_count else n.trade_count end,
      case when vwap_values is null then d.vwap else n.vwap end);
    end if;
    exit when inserted + updated = 0;
    if inserted = size and attempt = 1 then
      begin
        insert into store.bars_data (series_id, ts, open_price, high_price, low_price, close_price, volume, trade_count, vwap)
        select n.series_id, n.ts, n.open_price, n.high_price, n.low_price, n.close_price, n.volume, n.trade_count, n.vwap
        from (
      select unnest(series_ids) as series_id, unnest(times) as ts,
        unnest(open_price_values) as open_price,
        unnest(high_price_values) as high_price,
        unnest(low_price_values) as low_price,
        unnest(close_price_values) as close_price,
        unnest(volume_values) as volume,
        unnest(trade_count_values) as trade_count,
        unnest(vwap_values) as vwap
    ) n
        order by n.series_id, n.ts;
        exit;
      exception when unique_violation then
        nearby := size; -- Another session wrote one of these keys in this moment: look again.
        by_key := true;
        continue;
      end;
    end if;
    insert into store.bars_data as d (series_id, ts, open_price, high_price, low_price, close_price, volume, trade_count, vwap)
    select n.series_id, n.ts,
      case when open_price_values is null then d.open_price else n.open_price end,
      case when high_price_values is null then d.high_price else n.high_price end,
      case when low_price_values is null then d.low_price else n.low_price end,
      case when close_price_values is null then d.close_price else n.close_price end,
      case when volume_values is null then d.volume else n.volume end,
      case when trade_count_values is null then d.trade_count else n.trade_count end,
      case when vwap_values is null then d.vwap else n.vwap end
    from (
      select unnest(series_ids) as series_id, unnest(times) as ts,
        unnest(open_price_values) as open_price,
        unnest(high_price_values) as high_price,
        unnest(low_price_values) as low_price,
        unnest(close_price_values) as close_price,
        unnest(volume_values) as volume,
        unnest(trade_count_values) as trade_count,
        unnest(vwap_values) as vwap
    ) n
    left join (
      select * from store.bars_data s
      where not by_key and s.series_id = any (ids) and s.ts between first_time and last_time
      union all
      select s.* from unnest(series_ids, times) as k (series_id, ts)
      cross join lateral (
        select * from store.bars_data s where s.series_id = k.series_id and s.ts = k.ts and s.ts between first_time and last_time limit 1
      ) s
      where by_key
    ) d on d.series_id = n.series_id and d.ts = n.ts
    where d.series_id is null or (d.open_price, d.high_price, d.low_price, d.close_price, d.volume, d.trade_count, d.vwap) is distinct from (
      case when open_price_values is null then d.open_price else n.open_price end,
      case when high_price_values is null then d.high_price else n.high_price end,
      case when low_price_values is null then d.low_price else n.low_price end,
      case when close_price_values is null then d.close_price else n.close_price end,
      case when volume_values is null then d.volume else n.volume end,
      case when trade_count_values is null then d.trade_count else n.trade_count end,
      case when vwap_values is null then d.vwap else n.vwap end)
    order by n.series_id, n.ts
    on conflict (series_id, ts) do update set
      open_price = case when open_price_values is null then d.open_price else excluded.open_price end,
      high_price = case when high_price_values is null then d.high_price else excluded.high_price end,
      low_price = case when low_price_values is null then d.low_price else excluded.low_price end,
      close_price = case when close_price_values is null then d.close_price else excluded.close_price end,
      volume = case when volume_values is null then d.volume else excluded.volume end,
      trade_count = case when trade_count_values is null then d.trade_count else excluded.trade_count end,
      vwap = case when vwap_values is null then d.vwap else excluded.vwap end
    where (d.open_price, d.high_price, d.low_price, d.close_price, d.volume, d.trade_count, d.vwap) is distinct from (
      case when open_price_values is null then d.open_price else excluded.open_price end,
      case when high_price_values is null then d.high_price else excluded.high_price end,
      case when low_price_values is null then d.low_price else excluded.low_price end,
      case when close_price_values is null then d.close_price else excluded.close_price end,
      case when volume_values is null then d.volume else excluded.volume end,
      case when trade_count_values is null then d.trade_count else excluded.trade_count end,
      case when vwap_values is null then d.vwap else excluded.vwap end);
    exit;
  end loop;
  unchanged := size - inserted - updated;
end $$;

-- The first rows of a half-open window, series by series in the order given, each in time order, at most max_rows.
-- A foreign id gives no rows. A loop, because a join over all series would sort every window before its first row. By
-- the index only: a kept plan may stem from the time when a partition was empty.
create function mds.read_bars(
  series_ids int4[], window_start timestamptz, window_end timestamptz, newest_first boolean, max_rows int4
)
returns table (
  series_id int4, ts timestamptz, open_price float8, high_price float8, low_price float8, close_price float8, volume float8, trade_count int8, vwap float8
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
    join store.bars_series s on s.series_id = w.series_id and s.tenant_id = tenant
    order by w.position
  loop
    if newest_first then
      return query
        select d.series_id, d.ts, d.open_price, d.high_price, d.low_price, d.close_price, d.volume, d.trade_count, d.vwap from store.bars_data d
        where d.series_id = series and d.ts >= window_start and d.ts < window_end
        order by d.ts desc limit wanted;
    else
      return query
        select d.series_id, d.ts, d.open_price, d.high_price, d.low_price, d.close_price, d.volume, d.trade_count, d.vwap from store.bars_data d
        where d.series_id = series and d.ts >= window_start and d.ts < window_end
        order by d.ts asc limit wanted;
    end if;
    get diagnostics found_rows = row_count;
    wanted := wanted - found_rows;
    exit when wanted <= 0;
  end loop;
end $$;

revoke execute on function store.own_bars_series, mds.find_bars_series, mds.read_bars, mds.ensure_bars_series, mds.upsert_bars from public;
grant execute on function store.own_bars_series, mds.find_bars_series, mds.read_bars to mds_app, mds_reader;
grant execute on function mds.ensure_bars_series, mds.upsert_bars to mds_app;
grant select on mds.bars to mds_app, mds_reader;

-- Bars only, from here on.

-- The same data under the names that provider pipelines use.
create view mds.bars_ohlcv with (security_barrier) as
select vendor as provider, symbol, timeframe as interval, ts,
  open_price as open, high_price as high, low_price as low, close_price as close, volume, trade_count, vwap
from mds.bars;

-- When a bar's interval ends; months by the calendar, in UTC.
create function store.bar_end(ts timestamptz, timeframe text) returns timestamptz
language sql immutable as $$
  select (ts at time zone 'UTC' + case
    when timeframe like '%mo' then make_interval(months => rtrim(timeframe, 'mo')::int4)
    when timeframe like '%s' then make_interval(secs => rtrim(timeframe, 's')::int4)
    when timeframe like '%m' then make_interval(mins => rtrim(timeframe, 'm')::int4)
    when timeframe like '%h' then make_interval(hours => rtrim(timeframe, 'h')::int4)
    when timeframe like '%d' then make_interval(days => rtrim(timeframe, 'd')::int4)
    when timeframe like '%w' then make_interval(weeks => rtrim(timeframe, 'w')::int4)
  end) at time zone 'UTC'
$$;

-- The newest bar of each of these series. The last month is searched first, then two months before it, then four, and so
-- on for the series not yet found: one search of everything would begin with opening hundreds of partitions.
create function store.last_bars(series_ids int4[]) returns table (series_id int4, ts timestamptz, close_price float8)
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set jit = off as $$
#variable_conflict use_column
declare
  upper_bound timestamptz := 'infinity';
  lower_bound timestamptz := now() - interval '1 month';
  width interval := interval '2 months';
  missing int4[] := series_ids;
  found_ids int4[];
  found_times timestamptz[];
  found_prices float8[];
begin
  while upper_bound > '1900-01-01' and cardinality(missing) > 0 loop
    select array_agg(m), array_agg(l.ts), array_agg(l.close_price) into found_ids, found_times, found_prices
    from unnest(missing) m
    cross join lateral (
      select d.ts, d.close_price from store.bars_data d
      where d.series_id = m and d.ts >= lower_bound and d.ts < upper_bound
      order by d.ts desc limit 1
    ) l;
    return query select unnest(found_ids), unnest(found_times), unnest(found_prices);
    missing := array(select unnest(missing) except select unnest(found_ids));
    upper_bound := lower_bound;
    lower_bound := lower_bound - width;
    width := width * 2;
  end loop;
end $$;

-- The close of the bar whose interval ends last, ties to the shortest timeframe, for each vendor and symbol.
-- A null argument means any.
create function mds.read_latest_prices(vendors text[], symbols text[])
returns table (vendor text, symbol text, price float8, price_timestamp timestamptz)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  tenant uuid := store.current_tenant();
begin
  return query
    with series as materialized (
      select s.series_id, s.vendor, s.symbol, s.timeframe
      from store.bars_series s
      where s.tenant_id = tenant
        and (vendors is null or s.vendor = any (vendors)) and (symbols is null or s.symbol = any (symbols))
    )
    select distinct on (s.vendor collate "C", s.symbol collate "C") s.vendor, s.symbol, l.close_price, l.ts
    from store.last_bars((select array_agg(series_id) from series)) l
    join series s on s.series_id = l.series_id
    order by s.vendor collate "C", s.symbol collate "C", store.bar_end(l.ts, s.timeframe) desc, l.ts desc;
end $$;

create view mds.latest_prices with (security_barrier) as
select vendor, symbol, price, price_timestamp from mds.read_latest_prices(null, null);

revoke execute on function store.bar_end, store.last_bars, mds.read_latest_prices from public;
grant execute on function mds.read_latest_prices to mds_app, mds_reader;
grant select on mds.bars_ohlcv, mds.latest_prices to mds_app, mds_reader;

-- migrate:down
drop view mds.latest_prices;
drop function mds.read_latest_prices(text[], text[]);
drop function store.last_bars(int4[]);
drop function store.bar_end(timestamptz, text);
drop view mds.bars_ohlcv;
drop function mds.read_bars(int4[], timestamptz, timestamptz, boolean, int4);
drop function mds.upsert_bars(int4[], timestamptz[], float8[], float8[], float8[], float8[], float8[], int8[], float8[]);
drop function mds.find_bars_series(text[], text[], text[], boolean, int4, int4);
drop function mds.ensure_bars_series(text[], text[], text[]);
drop view mds.bars;
drop function store.own_bars_series();
drop table store.bars_data;
drop table store.bars_series;
delete from store.settings where name = 'partition_width.bars';
