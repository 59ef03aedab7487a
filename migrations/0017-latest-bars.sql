-- The newest bars of many series, found by reading fewer entries of the index. Runs as mds_owner.
-- migrate:up
-- The newest bar of each of these series. A search begins at the end of its range and reads an index page down to the
-- range's start: hundreds of entries where that is a month away. Of many series sixteen therefore tell first where nine of
-- ten end; for less than a hundred that is dearer than the pages. Series not found there are searched for in two months
-- before it, then in four, and so on: one search of everything would begin with opening hundreds of partitions.
create or replace function store.last_bars(series_ids int4[]) returns table (series_id int4, ts timestamptz, close_price float8)
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
  if cardinality(series_ids) >= 100 then
    lower_bound := coalesce((
      select percentile_disc(0.1) within group (order by l.ts)
      from generate_series(1, cardinality(series_ids), cardinality(series_ids) / 16) place
      cross join lateral (
        select d.ts from store.bars_data d
        where d.series_id = series_ids[place] and d.ts >= lower_bound and d.ts < upper_bound
        order by d.ts desc limit 1
      ) l
    ), lower_bound);
  end if;
  while upper_bound > '1900-01-01' and cardinality(missing) > 0 loop
    select array_agg(m), array_agg(l.ts), array_agg(l.close_price) into found_ids, found_times, found_prices
    from unnest(missing) m
    cross join lateral (
      select d.ts, d.close_price from store.bars_data d
      where d.series_id = m and d.ts >= lower_bound and d.ts < upper_bound
      order by d.ts desc limit 1
    ) l;
    return query select unnest(found_ids), unnest(found_times), unnest(found_prices);
    exit when cardinality(found_ids) = cardinality(missing);
    missing := array(select unnest(missing) except select unnest(found_ids));
    upper_bound := lower_bound;
    lower_bound := lower_bound - width;
    width := width * 2;
  end loop;
end $$;

-- migrate:down
create or replace function store.last_bars(series_ids int4[]) returns table (series_id int4, ts timestamptz, close_price float8)
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
