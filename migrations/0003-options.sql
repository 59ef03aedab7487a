-- Options: series, data by month, the tenant's view, and the functions that the client uses. Runs as mds_owner.
-- migrate:up
insert into store.settings (name, value) values ('partition_width.options', 'month');

create table store.options_series (
  series_id int4 generated always as identity primary key,
  tenant_id uuid not null references store.tenants (id),
  vendor text not null,
  symbol text not null,
  expiry date not null,
  option_type text not null,
  strike numeric(18,6) not null,
  unique (tenant_id, vendor, symbol, expiry, option_type, strike),
  constraint vendor_text check (char_length(vendor) between 1 and 64 and vendor = btrim(vendor) and vendor !~ '[[:cntrl:]]'),
  constraint symbol_text check (char_length(symbol) between 1 and 64 and symbol = btrim(symbol) and symbol !~ '[[:cntrl:]]'),
  constraint expiry_finite check (isfinite(expiry)),
  constraint option_type_known check (option_type in ('C', 'P')),
  constraint strike_range check (strike > 0)
);

create table store.options_data (
  series_id int4 not null,
  ts timestamptz not null,
  bid float8,
  ask float8,
  last float8,
  iv float8,
  delta float8,
  gamma float8,
  theta float8,
  vega float8,
  rho float8,
  spot float8,
  oi int8,
  volume int8,
  primary key (series_id, ts),
  constraint bid_range check (bid > '-infinity' and bid < 'infinity'),
  constraint ask_range check (ask > '-infinity' and ask < 'infinity'),
  constraint last_range check (last > '-infinity' and last < 'infinity'),
  constraint iv_range check (iv > '-infinity' and iv < 'infinity'),
  constraint delta_range check (delta > '-infinity' and delta < 'infinity'),
  constraint gamma_range check (gamma > '-infinity' and gamma < 'infinity'),
  constraint theta_range check (theta > '-infinity' and theta < 'infinity'),
  constraint vega_range check (vega > '-infinity' and vega < 'infinity'),
  constraint rho_range check (rho > '-infinity' and rho < 'infinity'),
  constraint spot_range check (spot > '-infinity' and spot < 'infinity'),
  constraint oi_range check (oi >= 0),
  constraint volume_range check (volume >= 0)
) partition by range (ts);

-- What tenants store must not show in the planner's estimates, so statistics are kept of ids only.
alter table store.options_series
  alter column vendor set statistics 0,
  alter column symbol set statistics 0,
  alter column expiry set statistics 0,
  alter column option_type set statistics 0,
  alter column strike set statistics 0;
alter table store.options_data
  alter column ts set statistics 0,
  alter column bid set statistics 0,
  alter column ask set statistics 0,
  alter column last set statistics 0,
  alter column iv set statistics 0,
  alter column delta set statistics 0,
  alter column gamma set statistics 0,
  alter column theta set statistics 0,
  alter column vega set statistics 0,
  alter column rho set statistics 0,
  alter column spot set statistics 0,
  alter column oi set statistics 0,
  alter column volume set statistics 0;

create function store.own_options_series() returns table (series_id int4, vendor text, symbol text, expiry date, option_type text, strike numeric)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select s.series_id, s.vendor, s.symbol, s.expiry, s.option_type, s.strike
  from store.options_series s where s.tenant_id = (select store.current_tenant())
$$;

-- The order keeps the inner query one of its own, run for each of the tenant's series; it sorts nothing. In a plain join
-- the planner may filter all tenants' rows by a reader's condition first, and explain analyze then counts them.
create view mds.options_snap with (security_barrier) as
select s.vendor, s.symbol, s.expiry, s.option_type, s.strike, d.ts, d.bid, d.ask, d.last, d.iv, d.delta, d.gamma, d.theta, d.vega, d.rho, d.spot, d.oi, d.volume
from store.own_options_series() s
cross join lateral (
  select d.ts, d.bid, d.ask, d.last, d.iv, d.delta, d.gamma, d.theta, d.vega, d.rho, d.spot, d.oi, d.volume
  from store.options_data d where d.series_id = s.series_id order by d.series_id
) d;

-- Answers with the series' ids in the order asked; makes those that are missing.
-- An anti-join first: "on conflict do nothing" alone would burn an id for every known series.
create function mds.ensure_options_series(vendor_values text[], symbol_values text[], expiry_values text[], option_type_values text[], strike_values text[]) returns int4[]
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  tenant uuid := store.require_tenant();
begin
  insert into store.options_series (tenant_id, vendor, symbol, expiry, option_type, strike)
  select distinct tenant, w.vendor, w.symbol, w.expiry, w.option_type, w.strike
  from unnest(vendor_values, symbol_values, expiry_values::date[], option_type_values, strike_values::numeric[]) as w (vendor, symbol, expiry, option_type, strike)
  where not exists (select from store.options_series s where s.tenant_id = tenant and s.vendor = w.vendor and s.symbol = w.symbol and s.expiry = w.expiry and s.option_type = w.option_type and s.strike = w.strike)
  order by w.vendor, w.symbol, w.expiry, w.option_type, w.strike
  on conflict do nothing;
  return (
    select array_agg(s.series_id order by w.position)
    from unnest(vendor_values, symbol_values, expiry_values::date[], option_type_values, strike_values::numeric[]) with ordinality as w (vendor, symbol, expiry, option_type, strike, position)
    join store.options_series s on s.tenant_id = tenant and s.vendor = w.vendor and s.symbol = w.symbol and s.expiry = w.expiry and s.option_type = w.option_type and s.strike = w.strike
  );
end $$;

-- The tenant's series, from behind one of them where it is given; a null array means any. The tenant is looked up
-- first, and so is that one: were they part of the query, whether it is done would tell that somebody has such a series.
create function mds.find_options_series(
  vendor_values text[], symbol_values text[], expiry_values text[], option_type_values text[], strike_values text[],
  ignore_case boolean, max_series int4, after_series int4 default null
)
returns table (series_id int4, vendor text, symbol text, expiry text, option_type text, strike text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  tenant uuid := store.current_tenant();
  behind store.options_series;
begin
  select a.* into behind from store.options_series a where a.series_id = after_series and a.tenant_id = tenant;
  return query
    select s.series_id, s.vendor, s.symbol, to_char(s.expiry, 'YYYY-MM-DD'), s.option_type, trim_scale(s.strike)::text
    from store.options_series s
    where s.tenant_id = tenant
      and (vendor_values is null or s.vendor = any (vendor_values)
        or (ignore_case and lower(s.vendor) = any (select lower(g) from unnest(vendor_values) as g)))
      and (symbol_values is null or s.symbol = any (symbol_values)
        or (ignore_case and lower(s.symbol) = any (select lower(g) from unnest(symbol_values) as g)))
      and (expiry_values is null or s.expiry = any (expiry_values::date[]))
      and (option_type_values is null or s.option_type = any (option_type_values))
      and (strike_values is null or s.strike = any (strike_values::numeric[]))
      and (after_series is null or (s.vendor collate "C", s.symbol collate "C", s.expiry, s.option_type collate "C", s.strike) > (behind.vendor, behind.symbol, behind.expiry, behind.option_type, behind.strike))
    order by s.vendor collate "C", s.symbol collate "C", s.expiry, s.option_type collate "C", s.strike
    limit max_series;
end $$;

-- One batch: parallel arrays in key order, every key once. A value column whose array is null is absent and keeps what is
-- stored. Rows that the absent columns make impossible come back in "rejected" (1-based positions with their reasons);
-- then nothing was written and the caller sends the others again.
create function mds.upsert_options(
  series_ids int4[],
  times timestamptz[],
  bid_values float8[],
  ask_values float8[],
  last_values float8[],
  iv_values float8[],
  delta_values float8[],
  gamma_values float8[],
  theta_values float8[],
  vega_values float8[],
  rho_values float8[],
  spot_values float8[],
  oi_values int8[],
  volume_values int8[],
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
    select count(*) from store.options_series s where s.series_id = any (ids) and s.tenant_id = tenant
  ) then
    raise exception 'A series of this batch does not exist.' using errcode = 'MD001';
  end if;
  select min(t), max(t) into first_time, last_time from unnest(times) t;
  -- Stored rows between the batch's first key and its last: none in new ground; few in a replay; many where the batch is
  -- scattered over a long history, and then its keys are looked up one by one.
  select count(*) into nearby
  from (
    select from store.options_data s
    where s.series_id = any (ids) and s.ts between first_time and last_time
      and (s.series_id, s.ts) between (series_ids[1], times[1]) and (series_ids[size], times[size])
    limit 4 * size + 1
  ) s;
  by_key := nearby > 4 * size;
  for attempt in 1..2 loop
    if nearby = 0 then
      inserted := size;
      updated := 0;
    else
      select count(*) filter (where d.series_id is null), count(*) filter (where d.series_id is not null)
      into inserted, updated
      from (
      select unnest(series_ids) as series_id, unnest(times) as ts,
        unnest(bid_values) as bid,
        unnest(ask_values) as ask,
        unnest(last_values) as last,
        unnest(iv_values) as iv,
        unnest(delta_values) as delta,
        unnest(gamma_values) as gamma,
        unnest(theta_values) as theta,
        unnest(vega_values) as vega,
        unnest(rho_values) as rho,
        unnest(spot_values) as spot,
        unnest(oi_values) as oi,
        unnest(volume_values) as volume
    ) n
      left join (
      select * from store.options_data s
      where not by_key and s.series_id = any (ids) and s.ts between first_time and last_time
      union all
      select s.* from unnest(series_ids, times) as k (series_id, ts)
      cross join lateral (
        select * from store.options_data s where s.series_id = k.series_id and s.ts = k.ts and s.ts between first_time and last_time limit 1
      ) s
      where by_key
    ) d on d.series_id = n.series_id and d.ts = n.ts
      where d.series_id is null or (d.bid, d.ask, d.last, d.iv, d.delta, d.gamma, d.theta, d.vega, d.rho, d.spot, d.oi, d.volume) is distinct from (
      case when bid_values is null then d.bid else n.bid end,
      case when ask_values is null then d.ask else n.ask end,
      case when last_values is null then d.last else n.last end,
      case when iv_values is null then d.iv else n.iv end,
      case when delta_values is null then d.delta else n.delta end,
      case when gamma_values is null then d.gamma else n.gamma end,
      case when theta_values is null then d.theta else n.theta end,
      case when vega_values is null then d.vega else n.vega end,
      case when rho_values is null then d.rho else n.rho end,
      case when spot_values is null then d.spot else n.spot end,
      case when oi_values is null then d.oi else n.oi end,
      case when volume_values is null then d.volume else n.volume end);
    end if;
    exit when inserted + updated = 0;
    if inserted = size and attempt = 1 then
      begin
        insert into store.options_data (series_id, ts, bid, ask, last, iv, delta, gamma, theta, vega, rho, spot, oi, volume)
        select n.series_id, n.ts, n.bid, n.ask, n.last, n.iv, n.delta, n.gamma, n.theta, n.vega, n.rho, n.spot, n.oi, n.volume
        from (
      select unnest(series_ids) as series_id, unnest(times) as ts,
        unnest(bid_values) as bid,
        unnest(ask_values) as ask,
        unnest(last_values) as last,
        unnest(iv_values) as iv,
        unnest(delta_values) as delta,
        unnest(gamma_values) as gamma,
        unnest(theta_values) as theta,
        unnest(vega_values) as vega,
        unnest(rho_values) as rho,
        unnest(spot_values) as spot,
        unnest(oi_values) as oi,
        unnest(volume_values) as volume
    ) n
        order by n.series_id, n.ts;
        exit;
      exception when unique_violation then
        nearby := size; -- Another session wrote one of these keys in this moment: look again.
        by_key := true;
        continue;
      end;
    end if;
    insert into store.options_data as d (series_id, ts, bid, ask, last, iv, delta, gamma, theta, vega, rho, spot, oi, volume)
    select n.series_id, n.ts,
      case when bid_values is null then d.bid else n.bid end,
      case when ask_values is null then d.ask else n.ask end,
      case when last_values is null then d.last else n.last end,
      case when iv_values is null then d.iv else n.iv end,
      case when delta_values is null then d.delta else n.delta end,
      case when gamma_values is null then d.gamma else n.gamma end,
      case when theta_values is null then d.theta else n.theta end,
      case when vega_values is null then d.vega else n.vega end,
      case when rho_values is null then d.rho else n.rho end,
      case when spot_values is null then d.spot else n.spot end,
      case when oi_values is null then d.oi else n.oi end,
      case when volume_values is null then d.volume else n.volume end
    from (
      select unnest(series_ids) as series_id, unnest(times) as ts,
        unnest(bid_values) as bid,
        unnest(ask_values) as ask,
        unnest(last_values) as last,
        unnest(iv_values) as iv,
        unnest(delta_values) as delta,
        unnest(gamma_values) as gamma,
        unnest(theta_values) as theta,
        unnest(vega_values) as vega,
        unnest(rho_values) as rho,
        unnest(spot_values) as spot,
        unnest(oi_values) as oi,
        unnest(volume_values) as volume
    ) n
    left join (
      select * from store.options_data s
      where not by_key and s.series_id = any (ids) and s.ts between first_time and last_time
      union all
      select s.* from unnest(series_ids, times) as k (series_id, ts)
      cross join lateral (
        select * from store.options_data s where s.series_id = k.series_id and s.ts = k.ts and s.ts between first_time and last_time limit 1
      ) s
      where by_key
    ) d on d.series_id = n.series_id and d.ts = n.ts
    where d.series_id is null or (d.bid, d.ask, d.last, d.iv, d.delta, d.gamma, d.theta, d.vega, d.rho, d.spot, d.oi, d.volume) is distinct from (
      case when bid_values is null then d.bid else n.bid end,
      case when ask_values is null then d.ask else n.ask end,
      case when last_values is null then d.last else n.last end,
      case when iv_values is null then d.iv else n.iv end,
      case when delta_values is null then d.delta else n.delta end,
      case when gamma_values is null then d.gamma else n.gamma end,
      case when theta_values is null then d.theta else n.theta end,
      case when vega_values is null then d.vega else n.vega end,
      case when rho_values is null then d.rho else n.rho end,
      case when spot_values is null then d.spot else n.spot end,
      case when oi_values is null then d.oi else n.oi end,
      case when volume_values is null then d.volume else n.volume end)
    order by n.series_id, n.ts
    on conflict (series_id, ts) do update set
      bid = case when bid_values is null then d.bid else excluded.bid end,
      ask = case when ask_values is null then d.ask else excluded.ask end,
      last = case when last_values is null then d.last else excluded.last end,
      iv = case when iv_values is null then d.iv else excluded.iv end,
      delta = case when delta_values is null then d.delta else excluded.delta end,
      gamma = case when gamma_values is null then d.gamma else excluded.gamma end,
      theta = case when theta_values is null then d.theta else excluded.theta end,
      vega = case when vega_values is null then d.vega else excluded.vega end,
      rho = case when rho_values is null then d.rho else excluded.rho end,
      spot = case when spot_values is null then d.spot else excluded.spot end,
      oi = case when oi_values is null then d.oi else excluded.oi end,
      volume = case when volume_values is null then d.volume else excluded.volume end
    where (d.bid, d.ask, d.last, d.iv, d.delta, d.gamma, d.theta, d.vega, d.rho, d.spot, d.oi, d.volume) is distinct from (
      case when bid_values is null then d.bid else excluded.bid end,
      case when ask_values is null then d.ask else excluded.ask end,
      case when last_values is null then d.last else excluded.last end,
      case when iv_values is null then d.iv else excluded.iv end,
      case when delta_values is null then d.delta else excluded.delta end,
      case when gamma_values is null then d.gamma else excluded.gamma end,
      case when theta_values is null then d.theta else excluded.theta end,
      case when vega_values is null then d.vega else excluded.vega end,
      case when rho_values is null then d.rho else excluded.rho end,
      case when spot_values is null then d.spot else excluded.spot end,
      case when oi_values is null then d.oi else excluded.oi end,
      case when volume_values is null then d.volume else excluded.volume end);
    exit;
  end loop;
  unchanged := size - inserted - updated;
end $$;

-- The first rows of a half-open window, series by series in the order given, each in time order, at most max_rows.
-- A foreign id gives no rows. A loop, because a join over all series would sort every window before its first row. By
-- the index only: a kept plan may stem from the time when a partition was empty.
create function mds.read_options(
  series_ids int4[], window_start timestamptz, window_end timestamptz, newest_first boolean, max_rows int4
)
returns table (
  series_id int4, ts timestamptz, bid float8, ask float8, last float8, iv float8, delta float8, gamma float8, theta float8, vega float8, rho float8, spot float8, oi int8, volume int8
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
    join store.options_series s on s.series_id = w.series_id and s.tenant_id = tenant
    order by w.position
  loop
    if newest_first then
      return query
        select d.series_id, d.ts, d.bid, d.ask, d.last, d.iv, d.delta, d.gamma, d.theta, d.vega, d.rho, d.spot, d.oi, d.volume from store.options_data d
        where d.series_id = series and d.ts >= window_start and d.ts < window_end
        order by d.ts desc limit wanted;
    else
      return query
        select d.series_id, d.ts, d.bid, d.ask, d.last, d.iv, d.delta, d.gamma, d.theta, d.vega, d.rho, d.spot, d.oi, d.volume from store.options_data d
        where d.series_id = series and d.ts >= window_start and d.ts < window_end
        order by d.ts asc limit wanted;
    end if;
    get diagnostics found_rows = row_count;
    wanted := wanted - found_rows;
    exit when wanted <= 0;
  end loop;
end $$;

revoke execute on function store.own_options_series, mds.find_options_series, mds.read_options, mds.ensure_options_series, mds.upsert_options from public;
grant execute on function store.own_options_series, mds.find_options_series, mds.read_options to mds_app, mds_reader;
grant execute on function mds.ensure_options_series, mds.upsert_options to mds_app;
grant select on mds.options_snap to mds_app, mds_reader;

-- Options only, from here on.

-- All contracts of an underlying that had not expired at a moment, each with its newest snapshot not after it.
create function mds.read_option_chain(vendor_values text[], symbol_value text, at_time timestamptz)
returns table (
  vendor text, symbol text, expiry text, option_type text, strike text, ts timestamptz,
  bid float8, ask float8, last float8, iv float8, delta float8, gamma float8, theta float8, vega float8, rho float8,
  spot float8, oi int8, volume int8
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  tenant uuid := store.current_tenant();
begin
  return query
    with contracts as materialized (
      select s.series_id, s.vendor, s.symbol, s.expiry, s.option_type, s.strike
      from store.options_series s
      where s.tenant_id = tenant
        and (vendor_values is null or s.vendor = any (vendor_values)) and s.symbol = symbol_value
        and s.expiry >= (at_time at time zone 'UTC')::date
    )
    select c.vendor, c.symbol, to_char(c.expiry, 'YYYY-MM-DD'), c.option_type, trim_scale(c.strike)::text, d.ts,
      d.bid, d.ask, d.last, d.iv, d.delta, d.gamma, d.theta, d.vega, d.rho, d.spot, d.oi, d.volume
    from store.last_times('options', 'ts', (select array_agg(series_id) from contracts), at_time) l
    join contracts c on c.series_id = l.series_id
    join store.options_data d on d.series_id = l.series_id and d.ts = l.last_time
    order by c.vendor collate "C", c.expiry, c.strike, c.option_type;
end $$;

revoke execute on function mds.read_option_chain from public;
grant execute on function mds.read_option_chain to mds_app, mds_reader;

-- migrate:down
drop function mds.read_option_chain(text[], text, timestamptz);
drop function mds.read_options(int4[], timestamptz, timestamptz, boolean, int4);
drop function mds.upsert_options(int4[], timestamptz[], float8[], float8[], float8[], float8[], float8[], float8[], float8[], float8[], float8[], float8[], int8[], int8[]);
drop function mds.find_options_series(text[], text[], text[], text[], text[], boolean, int4, int4);
drop function mds.ensure_options_series(text[], text[], text[], text[], text[]);
drop view mds.options_snap;
drop function store.own_options_series();
drop table store.options_data;
drop table store.options_series;
delete from store.settings where name = 'partition_width.options';
