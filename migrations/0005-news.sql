-- News: series, data by year, the tenant's view, and the functions that the client uses. Runs as mds_owner.
-- migrate:up
insert into store.settings (name, value) values ('partition_width.news', 'year');

create table store.news_series (
  series_id int4 generated always as identity primary key,
  tenant_id uuid not null references store.tenants (id),
  vendor text not null,
  unique (tenant_id, vendor),
  constraint vendor_text check (char_length(vendor) between 1 and 64 and vendor = btrim(vendor) and vendor !~ '[[:cntrl:]]')
);

create table store.news_data (
  series_id int4 not null,
  published_at timestamptz not null,
  id bytea not null,
  symbol text,
  title text not null,
  url text not null,
  sentiment_score float8,
  metadata jsonb,
  primary key (series_id, published_at, id),
  constraint id_length check (octet_length(id) = 16),
  constraint symbol_length check (char_length(symbol) <= 64),
  constraint title_length check (char_length(title) <= 4000),
  constraint url_length check (char_length(url) <= 4000),
  constraint sentiment_score_range check (sentiment_score >= -1 and sentiment_score <= 1),
  constraint metadata_object check (jsonb_typeof(metadata) = 'object')
) partition by range (published_at);

-- What tenants store must not show in the planner's estimates, so statistics are kept of ids only.
alter table store.news_series
  alter column vendor set statistics 0;
alter table store.news_data
  alter column published_at set statistics 0,
  alter column id set statistics 0,
  alter column symbol set statistics 0,
  alter column title set statistics 0,
  alter column url set statistics 0,
  alter column sentiment_score set statistics 0,
  alter column metadata set statistics 0;

create function store.own_news_series() returns table (series_id int4, vendor text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select s.series_id, s.vendor
  from store.news_series s where s.tenant_id = (select store.current_tenant())
$$;

-- The order keeps the inner query one of its own, run for each of the tenant's series; it sorts nothing. In a plain join
-- the planner may filter all tenants' rows by a reader's condition first, and explain analyze then counts them.
create view mds.news with (security_barrier) as
select s.vendor, d.published_at, d.symbol, d.title, d.url, d.sentiment_score, d.metadata
from store.own_news_series() s
cross join lateral (
  select d.published_at, d.symbol, d.title, d.url, d.sentiment_score, d.metadata
  from store.news_data d where d.series_id = s.series_id order by d.series_id
) d;

-- Answers with the series' ids in the order asked; makes those that are missing.
-- An anti-join first: "on conflict do nothing" alone would burn an id for every known series.
create function mds.ensure_news_series(vendor_values text[]) returns int4[]
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  tenant uuid := store.require_tenant();
begin
  insert into store.news_series (tenant_id, vendor)
  select distinct tenant, w.vendor
  from unnest(vendor_values) as w (vendor)
  where not exists (select from store.news_series s where s.tenant_id = tenant and s.vendor = w.vendor)
  order by w.vendor
  on conflict do nothing;
  return (
    select array_agg(s.series_id order by w.position)
    from unnest(vendor_values) with ordinality as w (vendor, position)
    join store.news_series s on s.tenant_id = tenant and s.vendor = w.vendor
  );
end $$;

-- The tenant's series, from behind one of them where it is given; a null array means any. The tenant is looked up
-- first, and so is that one: were they part of the query, whether it is done would tell that somebody has such a series.
create function mds.find_news_series(
  vendor_values text[],
  ignore_case boolean, max_series int4, after_series int4 default null
)
returns table (series_id int4, vendor text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  tenant uuid := store.current_tenant();
  behind store.news_series;
begin
  select a.* into behind from store.news_series a where a.series_id = after_series and a.tenant_id = tenant;
  return query
    select s.series_id, s.vendor
    from store.news_series s
    where s.tenant_id = tenant
      and (vendor_values is null or s.vendor = any (vendor_values)
        or (ignore_case and lower(s.vendor) = any (select lower(g) from unnest(vendor_values) as g)))
      and (after_series is null or (s.vendor collate "C") > (behind.vendor))
    order by s.vendor collate "C"
    limit max_series;
end $$;

-- One batch: parallel arrays in key order, every key once. A value column whose array is null is absent and keeps what is
-- stored. Rows that the absent columns make impossible come back in "rejected" (1-based positions with their reasons);
-- then nothing was written and the caller sends the others again.
create function mds.upsert_news(
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
  size int4 := cardinality(series_ids);
  ids int4[] := array(select distinct i from unnest(series_ids) i);
  first_time timestamptz;
  last_time timestamptz;
  nearby int8;
  by_key boolean;
begin
  if cardinality(ids) > (
    select count(*) from store.news_series s where s.series_id = any (ids) and s.tenant_id = tenant
  ) then
    raise exception 'A series of this batch does not exist.' using errcode = 'MD001';
  end if;
  select min(t), max(t) into first_time, last_time from unnest(times) t;
  -- Stored rows between the batch's first key and its last: none in new ground; few in a replay; many where the batch is
  -- scattered over a long history, and then its keys are looked up one by one.
  select count(*) into nearby
  from (
    select from store.news_data s
    where s.series_id = any (ids) and s.published_at between first_time and last_time
      and (s.series_id, s.published_at) between (series_ids[1], times[1]) and (series_ids[size], times[size])
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
      select unnest(series_ids) as series_id, unnest(times) as published_at,
        unnest(content_keys) as id,
        unnest(symbol_values) as symbol,
        unnest(title_values) as title,
        unnest(url_values) as url,
        unnest(sentiment_score_values) as sentiment_score,
        unnest(metadata_values) as metadata
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
    end if;
    exit when inserted + updated = 0;
    if inserted = size and attempt = 1 then
      begin
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
        order by n.series_id, n.published_at, n.id;
        exit;
      exception when unique_violation then
        nearby := size; -- Another session wrote one of these keys in this moment: look again.
        by_key := true;
        continue;
      end;
    end if;
    insert into store.news_data as d (series_id, published_at, id, symbol, title, url, sentiment_score, metadata)
    select n.series_id, n.published_at, n.id,
      case when symbol_values is null then d.symbol else n.symbol end,
      case when title_values is null then d.title else n.title end,
      case when url_values is null then d.url else n.url end,
      case when sentiment_score_values is null then d.sentiment_score else n.sentiment_score end,
      case when metadata_values is null then d.metadata else n.metadata end
    from (
      select unnest(series_ids) as series_id, unnest(times) as published_at,
        unnest(content_keys) as id,
        unnest(symbol_values) as symbol,
        unnest(title_values) as title,
        unnest(url_values) as url,
        unnest(sentiment_score_values) as sentiment_score,
        unnest(metadata_values) as metadata
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
      case when metadata_values is null then d.metadata else n.metadata end)
    order by n.series_id, n.published_at, n.id
    on conflict (series_id, published_at, id) do update set
      symbol = case when symbol_values is null then d.symbol else excluded.symbol end,
      title = case when title_values is null then d.title else excluded.title end,
      url = case when url_values is null then d.url else excluded.url end,
      sentiment_score = case when sentiment_score_values is null then d.sentiment_score else excluded.sentiment_score end,
      metadata = case when metadata_values is null then d.metadata else excluded.metadata end
    where (d.symbol, d.title, d.url, d.sentiment_score, d.metadata) is distinct from (
      case when symbol_values is null then d.symbol else excluded.symbol end,
      case when title_values is null then d.title else excluded.title end,
      case when url_values is null then d.url else excluded.url end,
      case when sentiment_score_values is null then d.sentiment_score else excluded.sentiment_score end,
      case when metadata_values is null then d.metadata else excluded.metadata end);
    exit;
  end loop;
  unchanged := size - inserted - updated;
end $$;

-- The first rows of a half-open window, series by series in the order given, each in time order, at most max_rows.
-- A foreign id gives no rows. A loop, because a join over all series would sort every window before its first row. By
-- the index only: a kept plan may stem from the time when a partition was empty.
create function mds.read_news(
  series_ids int4[], window_start timestamptz, window_end timestamptz, after_key bytea, newest_first boolean, max_rows int4
)
returns table (
  series_id int4, published_at timestamptz, id bytea, symbol text, title text, url text, sentiment_score float8, metadata jsonb
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
    join store.news_series s on s.series_id = w.series_id and s.tenant_id = tenant
    order by w.position
  loop
    if newest_first then
      return query
        select d.series_id, d.published_at, d.id, d.symbol, d.title, d.url, d.sentiment_score, d.metadata from store.news_data d
        where d.series_id = series and d.published_at >= window_start and d.published_at <= window_end
          and (d.published_at < window_end or d.id < after_key)
        order by d.published_at desc, d.id desc limit wanted;
    else
      return query
        select d.series_id, d.published_at, d.id, d.symbol, d.title, d.url, d.sentiment_score, d.metadata from store.news_data d
        where d.series_id = series and d.published_at >= window_start and d.published_at < window_end
          and (after_key is null or d.published_at > window_start or d.id > after_key)
        order by d.published_at asc, d.id asc limit wanted;
    end if;
    get diagnostics found_rows = row_count;
    wanted := wanted - found_rows;
    exit when wanted <= 0;
  end loop;
end $$;

revoke execute on function store.own_news_series, mds.find_news_series, mds.read_news, mds.ensure_news_series, mds.upsert_news from public;
grant execute on function store.own_news_series, mds.find_news_series, mds.read_news to mds_app, mds_reader;
grant execute on function mds.ensure_news_series, mds.upsert_news to mds_app;
grant select on mds.news to mds_app, mds_reader;

-- migrate:down
drop function mds.read_news(int4[], timestamptz, timestamptz, bytea, boolean, int4);
drop function mds.upsert_news(int4[], timestamptz[], bytea[], text[], text[], text[], float8[], jsonb[]);
drop function mds.find_news_series(text[], boolean, int4, int4);
drop function mds.ensure_news_series(text[]);
drop view mds.news;
drop function store.own_news_series();
drop table store.news_data;
drop table store.news_series;
delete from store.settings where name = 'partition_width.news';
