-- Rows of numbers read as columns, which is less work for the server and far less for the client. Runs as mds_owner.
-- migrate:up
-- What mds.read_bars gives, as one row of columns for each series that has any: the binary forms of its values strung together,
-- a null as eight bytes that no value has. At most 100000 of the rows, since the answer is held in memory.
create function mds.read_bars_columns(
  series_ids int4[], window_start timestamptz, window_end timestamptz, newest_first boolean, max_rows int4
)
returns table (series_id int4, ts bytea, open_price bytea, high_price bytea, low_price bytea, close_price bytea, volume bytea, trade_count bytea, vwap bytea)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
  tenant uuid := store.current_tenant();
  series int4;
  wanted int4 := least(max_rows, 100000);
  found_rows int4;
begin
  for series in
    select s.series_id from unnest(series_ids) with ordinality as w (series_id, position)
    join store.bars_series s on s.series_id = w.series_id and s.tenant_id = tenant
    order by w.position
  loop
    if newest_first then
      select count(*), string_agg(timestamptz_send(d.ts), ''),
          string_agg(float8send(d.open_price), ''),
          string_agg(float8send(d.high_price), ''),
          string_agg(float8send(d.low_price), ''),
          string_agg(float8send(d.close_price), ''),
          string_agg(float8send(d.volume), ''),
          string_agg(coalesce(int8send(d.trade_count), '\x8000000000000000'), ''),
          string_agg(coalesce(float8send(d.vwap), '\x7ff8000000000000'), '')
        into found_rows, ts, open_price, high_price, low_price, close_price, volume, trade_count, vwap
        from (
          select d.ts, d.open_price, d.high_price, d.low_price, d.close_price, d.volume, d.trade_count, d.vwap from store.bars_data d
          where d.series_id = series and d.ts >= window_start and d.ts < window_end
          order by d.ts desc limit wanted
        ) d;
    else
      select count(*), string_agg(timestamptz_send(d.ts), ''),
          string_agg(float8send(d.open_price), ''),
          string_agg(float8send(d.high_price), ''),
          string_agg(float8send(d.low_price), ''),
          string_agg(float8send(d.close_price), ''),
          string_agg(float8send(d.volume), ''),
          string_agg(coalesce(int8send(d.trade_count), '\x8000000000000000'), ''),
          string_agg(coalesce(float8send(d.vwap), '\x7ff8000000000000'), '')
        into found_rows, ts, open_price, high_price, low_price, close_price, volume, trade_count, vwap
        from (
          select d.ts, d.open_price, d.high_price, d.low_price, d.close_price, d.volume, d.trade_count, d.vwap from store.bars_data d
          where d.series_id = series and d.ts >= window_start and d.ts < window_end
          order by d.ts asc limit wanted
        ) d;
    end if;
    if found_rows > 0 then
      series_id := series;
      return next;
    end if;
    wanted := wanted - found_rows;
    exit when wanted <= 0;
  end loop;
end $$;

-- What mds.read_options gives, as one row of columns for each series that has any: the binary forms of its values strung together,
-- a null as eight bytes that no value has. At most 100000 of the rows, since the answer is held in memory.
create function mds.read_options_columns(
  series_ids int4[], window_start timestamptz, window_end timestamptz, newest_first boolean, max_rows int4
)
returns table (series_id int4, ts bytea, bid bytea, ask bytea, last bytea, iv bytea, delta bytea, gamma bytea, theta bytea, vega bytea, rho bytea, spot bytea, oi bytea, volume bytea)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
  tenant uuid := store.current_tenant();
  series int4;
  wanted int4 := least(max_rows, 100000);
  found_rows int4;
begin
  for series in
    select s.series_id from unnest(series_ids) with ordinality as w (series_id, position)
    join store.options_series s on s.series_id = w.series_id and s.tenant_id = tenant
    order by w.position
  loop
    if newest_first then
      select count(*), string_agg(timestamptz_send(d.ts), ''),
          string_agg(coalesce(float8send(d.bid), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.ask), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.last), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.iv), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.delta), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.gamma), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.theta), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.vega), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.rho), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.spot), '\x7ff8000000000000'), ''),
          string_agg(coalesce(int8send(d.oi), '\x8000000000000000'), ''),
          string_agg(coalesce(int8send(d.volume), '\x8000000000000000'), '')
        into found_rows, ts, bid, ask, last, iv, delta, gamma, theta, vega, rho, spot, oi, volume
        from (
          select d.ts, d.bid, d.ask, d.last, d.iv, d.delta, d.gamma, d.theta, d.vega, d.rho, d.spot, d.oi, d.volume from store.options_data d
          where d.series_id = series and d.ts >= window_start and d.ts < window_end
          order by d.ts desc limit wanted
        ) d;
    else
      select count(*), string_agg(timestamptz_send(d.ts), ''),
          string_agg(coalesce(float8send(d.bid), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.ask), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.last), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.iv), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.delta), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.gamma), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.theta), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.vega), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.rho), '\x7ff8000000000000'), ''),
          string_agg(coalesce(float8send(d.spot), '\x7ff8000000000000'), ''),
          string_agg(coalesce(int8send(d.oi), '\x8000000000000000'), ''),
          string_agg(coalesce(int8send(d.volume), '\x8000000000000000'), '')
        into found_rows, ts, bid, ask, last, iv, delta, gamma, theta, vega, rho, spot, oi, volume
        from (
          select d.ts, d.bid, d.ask, d.last, d.iv, d.delta, d.gamma, d.theta, d.vega, d.rho, d.spot, d.oi, d.volume from store.options_data d
          where d.series_id = series and d.ts >= window_start and d.ts < window_end
          order by d.ts asc limit wanted
        ) d;
    end if;
    if found_rows > 0 then
      series_id := series;
      return next;
    end if;
    wanted := wanted - found_rows;
    exit when wanted <= 0;
  end loop;
end $$;

revoke execute on function mds.read_bars_columns, mds.read_options_columns from public;
grant execute on function mds.read_bars_columns, mds.read_options_columns to mds_app, mds_reader;
-- migrate:down
drop function mds.read_bars_columns(int4[], timestamptz, timestamptz, boolean, int4);
drop function mds.read_options_columns(int4[], timestamptz, timestamptz, boolean, int4);
