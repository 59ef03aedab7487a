-- Rows that are stored only where their keys are absent: what dead letters are replayed with. Runs as mds_owner.
-- migrate:up
-- Inserts rows whose keys are absent and never changes a stored one. Parameters as those of mds.upsert_bars. Rows that are
-- not in the table as given come back in "rejected": another row has the key, or a required value is absent. "updated" is 0.
create function mds.insert_bars(
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
  ids int4[] := array(select distinct i from unnest(series_ids) i);
  first_time timestamptz;
  last_time timestamptz;
  by_key constant boolean := true;
  nearby int8;
  marked int4[]; -- Those of the batch's series of which there are aggregates.
begin
  select count(*), array_agg(s.series_id) filter (where s.timeframe = '1m') into nearby, marked
  from store.bars_series s where s.series_id = any (ids) and s.tenant_id = tenant;
  if cardinality(ids) > nearby then
    raise exception 'A series of this batch does not exist.' using errcode = 'MD001';
  end if;
  select min(t), max(t) into first_time, last_time from unnest(times) t;
  inserted := 0;
  updated := 0;
  if open_price_values is not null and high_price_values is not null and low_price_values is not null and close_price_values is not null and volume_values is not null then
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
    order by n.series_id, n.ts
    on conflict do nothing;
    get diagnostics inserted = row_count;
    if inserted > 0 and marked is not null then
      perform store.mark_bars(marked, first_time, last_time, series_ids, times);
    end if;
  end if;
  select array_agg(n.position), array_agg(case when d.series_id is null then 'field_missing' else 'key_present' end)
  into rejected, reasons
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
  where d.series_id is null or (d.open_price, d.high_price, d.low_price, d.close_price, d.volume, d.trade_count, d.vwap) is distinct from (
      case when open_price_values is null then d.open_price else n.open_price end,
      case when high_price_values is null then d.high_price else n.high_price end,
      case when low_price_values is null then d.low_price else n.low_price end,
      case when close_price_values is null then d.close_price else n.close_price end,
      case when volume_values is null then d.volume else n.volume end,
      case when trade_count_values is null then d.trade_count else n.trade_count end,
      case when vwap_values is null then d.vwap else n.vwap end);
  unchanged := cardinality(series_ids) - inserted - coalesce(cardinality(rejected), 0);
end $$;

revoke execute on function mds.insert_bars from public;
grant execute on function mds.insert_bars to mds_app;

-- Inserts rows whose keys are absent and never changes a stored one. Parameters as those of mds.upsert_options. Rows that are
-- not in the table as given come back in "rejected": another row has the key, or a required value is absent. "updated" is 0.
create function mds.insert_options(
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
  ids int4[] := array(select distinct i from unnest(series_ids) i);
  first_time timestamptz;
  last_time timestamptz;
  by_key constant boolean := true;
begin
  if cardinality(ids) > (
    select count(*) from store.options_series s where s.series_id = any (ids) and s.tenant_id = tenant
  ) then
    raise exception 'A series of this batch does not exist.' using errcode = 'MD001';
  end if;
  select min(t), max(t) into first_time, last_time from unnest(times) t;
  inserted := 0;
  updated := 0;
  if true then
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
    order by n.series_id, n.ts
    on conflict do nothing;
    get diagnostics inserted = row_count;
  end if;
  select array_agg(n.position), array_agg(case when d.series_id is null then 'field_missing' else 'key_present' end)
  into rejected, reasons
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
        unnest(volume_values) as volume,
        generate_subscripts(series_ids, 1) as position
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
  unchanged := cardinality(series_ids) - inserted - coalesce(cardinality(rejected), 0);
end $$;

revoke execute on function mds.insert_options from public;
grant execute on function mds.insert_options to mds_app;

-- Inserts rows whose keys are absent and never changes a stored one. Parameters as those of mds.upsert_fundamentals. Rows that are
-- not in the table as given come back in "rejected": another row has the key, or a required value is absent. "updated" is 0.
create function mds.insert_fundamentals(
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
  ids int4[] := array(select distinct i from unnest(series_ids) i);
  first_time timestamptz;
  last_time timestamptz;
  by_key constant boolean := true;
begin
  if cardinality(ids) > (
    select count(*) from store.fundamentals_series s where s.series_id = any (ids) and s.tenant_id = tenant
  ) then
    raise exception 'A series of this batch does not exist.' using errcode = 'MD001';
  end if;
  select min(t), max(t) into first_time, last_time from unnest(times) t;
  if exists (select from unnest(total_assets_values) v where v <> round(v, 2))
    or exists (select from unnest(total_liabilities_values) v where v <> round(v, 2))
    or exists (select from unnest(net_income_values) v where v <> round(v, 2))
    or exists (select from unnest(eps_values) v where v <> round(v, 6)) then
    raise exception 'A number of this batch has more decimal places than its column keeps.' using errcode = '22003';
  end if;
  inserted := 0;
  updated := 0;
  if true then
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
    order by n.series_id, n.asof
    on conflict do nothing;
    get diagnostics inserted = row_count;
  end if;
  select array_agg(n.position), array_agg(case when d.series_id is null then 'field_missing' else 'key_present' end)
  into rejected, reasons
  from (
      select unnest(series_ids) as series_id, unnest(times) as asof,
        unnest(total_assets_values) as total_assets,
        unnest(total_liabilities_values) as total_liabilities,
        unnest(net_income_values) as net_income,
        unnest(eps_values) as eps,
        unnest(metrics_values) as metrics,
        generate_subscripts(series_ids, 1) as position
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
  unchanged := cardinality(series_ids) - inserted - coalesce(cardinality(rejected), 0);
end $$;

revoke execute on function mds.insert_fundamentals from public;
grant execute on function mds.insert_fundamentals to mds_app;

-- Inserts rows whose keys are absent and never changes a stored one. Parameters as those of mds.upsert_news. Rows that are
-- not in the table as given come back in "rejected": another row has the key, or a required value is absent. "updated" is 0.
create function mds.insert_news(
  series_ids int4[],
  times timestamptz[],
  content_keys bytea[],
  symbol_values text[],
  title_values text[],
  url_values text[],
  sentiment_score_values float8[],
  metadata_values jsonb[],
  out inserted int8, out updated int8, out unchanged int8, out rejected int4[], out reasons text[]
)
language plpgsql security definer set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan set jit = off
set enable_seqscan = off set enable_bitmapscan = off set enable_nestloop = off set enable_mergejoin = off as $$
declare
  tenant uuid := store.require_tenant();
  ids int4[] := array(select distinct i from unnest(series_ids) i);
  first_time timestamptz;
  last_time timestamptz;
  by_key constant boolean := true;
begin
  if cardinality(ids) > (
    select count(*) from store.news_series s where s.series_id = any (ids) and s.tenant_id = tenant
  ) then
    raise exception 'A series of this batch does not exist.' using errcode = 'MD001';
  end if;
  select min(t), max(t) into first_time, last_time from unnest(times) t;
  inserted := 0;
  updated := 0;
  if true then
    insert into store.news_data (series_id, published_at, id, symbol, title, url, sentiment_score, metadata)
    select n.series_id, n.published_at, n.id, n.symbol, n.title, n.url, n.sentiment_score, n.metadata
    from (
      select unnest(series_ids) as series_id, unnest(times) as published_at,
        unnest(content_keys) as id,
        unnest(symbol_values) as symbol,
        unnest(title_values) as title,
        unnest(url_values) as url,
        unnest(sentiment_score_values) as sentiment_score,
        unnest(metadata_values) as metadata
    ) n
    order by n.series_id, n.published_at, n.id
    on conflict do nothing;
    get diagnostics inserted = row_count;
  end if;
  select array_agg(n.position), array_agg(case when d.series_id is null then 'field_missing' else 'key_present' end)
  into rejected, reasons
  from (
      select unnest(series_ids) as series_id, unnest(times) as published_at,
        unnest(content_keys) as id,
        unnest(symbol_values) as symbol,
        unnest(title_values) as title,
        unnest(url_values) as url,
        unnest(sentiment_score_values) as sentiment_score,
        unnest(metadata_values) as metadata,
        generate_subscripts(series_ids, 1) as position
    ) n
  left join (
      select * from store.news_data s
      where not by_key and s.series_id = any (ids) and s.published_at between first_time and last_time
      union all
      select s.* from unnest(series_ids, times, content_keys) as k (series_id, published_at, id)
      cross join lateral (
        select * from store.news_data s where s.series_id = k.series_id and s.published_at = k.published_at and s.id = k.id and s.published_at between first_time and last_time limit 1
      ) s
      where by_key
    ) d on d.series_id = n.series_id and d.published_at = n.published_at and d.id = n.id
  where d.series_id is null or (d.symbol, d.title, d.url, d.sentiment_score, d.metadata) is distinct from (
      case when symbol_values is null then d.symbol else n.symbol end,
      case when title_values is null then d.title else n.title end,
      case when url_values is null then d.url else n.url end,
      case when sentiment_score_values is null then d.sentiment_score else n.sentiment_score end,
      case when metadata_values is null then d.metadata else n.metadata end);
  unchanged := cardinality(series_ids) - inserted - coalesce(cardinality(rejected), 0);
end $$;

revoke execute on function mds.insert_news from public;
grant execute on function mds.insert_news to mds_app;

-- Inserts rows whose keys are absent and never changes a stored one. Parameters as those of mds.upsert_signals. Rows that are
-- not in the table as given come back in "rejected": another row has the key, or a required value is absent. "updated" is 0.
create function mds.insert_signals(
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
  ids int4[] := array(select distinct i from unnest(series_ids) i);
  first_time timestamptz;
  last_time timestamptz;
  by_key constant boolean := true;
begin
  if cardinality(ids) > (
    select count(*) from store.signals_series s where s.series_id = any (ids) and s.tenant_id = tenant
  ) then
    raise exception 'A series of this batch does not exist.' using errcode = 'MD001';
  end if;
  select min(t), max(t) into first_time, last_time from unnest(times) t;
  inserted := 0;
  updated := 0;
  if value_values is not null then
    insert into store.signals_data (series_id, ts, value, score, metadata)
    select n.series_id, n.ts, n.value, n.score, n.metadata
    from (
      select unnest(series_ids) as series_id, unnest(times) as ts,
        unnest(value_values) as value,
        unnest(score_values) as score,
        unnest(metadata_values) as metadata
    ) n
    order by n.series_id, n.ts
    on conflict do nothing;
    get diagnostics inserted = row_count;
  end if;
  select array_agg(n.position), array_agg(case when d.series_id is null then 'field_missing' else 'key_present' end)
  into rejected, reasons
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
  where d.series_id is null or (d.value, d.score, d.metadata) is distinct from (
      case when value_values is null then d.value else n.value end,
      case when score_values is null then d.score else n.score end,
      case when metadata_values is null then d.metadata else n.metadata end);
  unchanged := cardinality(series_ids) - inserted - coalesce(cardinality(rejected), 0);
end $$;

revoke execute on function mds.insert_signals from public;
grant execute on function mds.insert_signals to mds_app;

-- migrate:down
drop function mds.insert_signals;
drop function mds.insert_news;
drop function mds.insert_fundamentals;
drop function mds.insert_options;
drop function mds.insert_bars;
