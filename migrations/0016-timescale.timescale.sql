-- On TimescaleDB: the data of datasets and aggregates in hypertables, whose chunks are the time partitions; older chunks
-- in the columnstore. Every function here works for a dataset in either form, because a database that moves from the plain
-- engine has both for a while. Why this form: docs/decisions/timescale.md. Runs as mds_owner.
-- migrate:up
alter table store.policies drop constraint partition_width_known;
alter table store.policies add constraint partition_width_known
  check (partition_width in ('month', 'year') or partition_width ~ '^([2-9]|[1-9][0-9]{1,2}) days$|^1 day$');

-- Where the extension's functions are; the administrator who made it chose.
create function store.timescale_schema() returns name
language sql stable set search_path = pg_catalog, pg_temp as $$
  select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'timescaledb'
$$;

create function store.is_hypertable(dataset text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (
    select from timescaledb_information.hypertables h
    where h.hypertable_schema = 'store' and h.hypertable_name = (dataset || '_data')::name
  )
$$;

create function store.width_interval(partition_width text) returns interval
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when partition_width in ('month', 'year') then '1 ' || partition_width else partition_width end::interval
$$;

-- Where the partition begins that would hold this time. Chunks are counted from the epoch.
create function store.period_start(partition_width text, at timestamptz) returns timestamptz
language sql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
  select case when partition_width in ('month', 'year') then date_trunc(partition_width, at)
    else date_bin(store.width_interval(partition_width), at, '1970-01-01Z') end
$$;

create or replace function store.all_partitions(dataset text)
returns table (partition_name text, range_start timestamptz, range_end timestamptz, detaching boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' as $$
  select c.relname::text, bounds[1]::timestamptz, bounds[2]::timestamptz, i.inhdetachpending
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid and c.relispartition
  cross join lateral regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM [(]''(.+)''[)] TO [(]''(.+)''[)]') as bounds
  where i.inhparent = to_regclass(format('store.%I', dataset || '_data'))
  union all
  select c.chunk_name::text, c.range_start, c.range_end, false
  from timescaledb_information.chunks c
  where c.hypertable_schema = 'store' and c.hypertable_name = (dataset || '_data')::name
$$;

-- The starts that no partition covers; a hypertable makes its chunks itself.
create or replace function store.uncovered(dataset text, starts timestamptz[]) returns timestamptz[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case when store.is_hypertable(dataset) then '{}' else array(
    select s from unnest(starts) s
    where not exists (select from store.partitions(dataset) p where s >= p.range_start and s < p.range_end)
    order by s
  ) end
$$;

-- Makes the chunks of these times. A hypertable makes them with the rows too, but one batch may need a thousand, and
-- would have to make them all before its deadline or none. Next to chunks of another width a new one is narrower.
create function store.make_chunks(dataset text, times timestamptz[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  width constant text := (select p.partition_width from store.policies p where p.dataset = make_chunks.dataset);
  data constant regclass := format('store.%I', dataset || '_data')::regclass;
  made int4 := 0;
  at timestamptz;
  chunk_start timestamptz;
  chunk_end timestamptz;
begin
  if not exists (
    select from unnest(times) t
    where not exists (select from store.partitions(dataset) p where t >= p.range_start and t < p.range_end)
  ) then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtext('mds.ensure_partitions'), hashtext(dataset));
  for at in select distinct on (store.period_start(width, t)) t from unnest(times) t where t is not null loop
    select greatest(store.period_start(width, at), max(p.range_end) filter (where p.range_end <= at)),
      least(store.period_start(width, at) + store.width_interval(width), min(p.range_start) filter (where p.range_start > at))
    into chunk_start, chunk_end
    from store.partitions(dataset) p
    having count(*) filter (where at >= p.range_start and at < p.range_end) = 0;
    continue when not found;
    made := made + 1;
    if made > 64 then
      raise exception 'One call makes at most 64 partitions.' using errcode = '22023';
    end if;
    perform _timescaledb_functions.create_chunk(data, jsonb_build_object(store.time_column(dataset), jsonb_build_array(
      (extract(epoch from chunk_start) * 1000000)::int8, (extract(epoch from chunk_end) * 1000000)::int8)));
  end loop;
end $$;

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
  if store.is_hypertable(dataset) then
    perform store.make_chunks(dataset, times);
  else
    perform store.make_partitions(dataset, times);
  end if;
  return query
    select p.range_start, p.range_end from store.partitions(dataset) p
    where exists (select from unnest(times) t where t >= p.range_start and t < p.range_end);
end $$;

create or replace function store.kept_since(dataset text) returns timestamptz
language sql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
  select case
    when p.keep_for is null then '-infinity'
    else coalesce(
      (
        select a.range_start from store.partitions(p.dataset) a
        where now() - p.keep_for >= a.range_start and now() - p.keep_for < a.range_end
      ),
      store.period_start(p.partition_width, now() - p.keep_for)
    )
  end
  from store.policies p where p.dataset = kept_since.dataset
$$;

-- TimescaleDB's own job that compresses a hypertable's older chunks, as the policy says.
create function store.set_compression(dataset text, compress_after interval) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  execute format('call %I.remove_columnstore_policy(%L::regclass, if_exists => true)',
    store.timescale_schema(), format('store.%I', dataset || '_data'));
  if compress_after is not null then
    -- Not at once: who has just changed a policy may change it back.
    execute format('call %I.add_columnstore_policy(%L::regclass, after => %L::interval, initial_start => now() + interval ''1 hour'')',
      store.timescale_schema(), format('store.%I', dataset || '_data'), compress_after);
  end if;
end $$;

create or replace function mds.set_policy(dataset text, changes jsonb, check_only boolean) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  before store.policies;
  wanted store.policies;
  width interval;
  narrower text;
  hypertable constant boolean := store.is_hypertable(dataset);
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
  if hypertable and (wanted.partition_width is null or wanted.partition_width !~ '^([2-9]|[1-9][0-9]{1,2}) days$|^1 day$') then
    raise exception 'The partition width of % must be whole days, 999 at most, such as 7 days.', set_policy.dataset using errcode = 'MD009';
  elsif not hypertable and (wanted.partition_width is null or wanted.partition_width not in ('month', 'year')) then
    raise exception 'The partition width of % must be month or year.', set_policy.dataset using errcode = 'MD009';
  elsif wanted.enabled is null then
    raise exception '% is enabled or not.', set_policy.dataset using errcode = 'MD009';
  elsif (wanted.compress_after is not null and store.duration_text(wanted.compress_after) is null)
    or (wanted.keep_for is not null and store.duration_text(wanted.keep_for) is null)
  then
    raise exception 'compress_after and keep_for of % must be whole days, months or years.', set_policy.dataset using errcode = 'MD009';
  end if;
  width := store.width_interval(wanted.partition_width);
  if wanted.keep_for < width then
    raise exception '% cannot be kept for % in partitions of %: rows go with their whole partition, and would stay more than twice as long as that; keep them longer, or make partition_width shorter.',
      set_policy.dataset, store.duration_text(wanted.keep_for),
      case when hypertable then wanted.partition_width else 'one ' || wanted.partition_width end using errcode = 'MD009';
  elsif wanted.compress_after >= wanted.keep_for then
    raise exception '% cannot be compressed after % when it is kept for % only.', set_policy.dataset,
      store.duration_text(wanted.compress_after), store.duration_text(wanted.keep_for) using errcode = 'MD009';
  end if;
  if wanted.partition_width <> before.partition_width and not hypertable then
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
    if hypertable and wanted.partition_width <> before.partition_width then
      execute format('select %I.set_chunk_time_interval(%L::regclass, %L::interval)', store.timescale_schema(),
        format('store.%I', set_policy.dataset || '_data'), width);
    end if;
    if hypertable and wanted.compress_after::text is distinct from before.compress_after::text then
      perform store.set_compression(set_policy.dataset, wanted.compress_after);
    end if;
  end if;
  return true;
end $$;

-- The columnstore takes no trigger that sees all deleted rows at once, so that each row that an owner deletes by hand
-- makes a mark. Of what is deleted with its tenant nothing has to be worked out.
create function store.mark_deleted_bar() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into store.bars_dirty (series_ids, min_ts, max_ts)
  select array[old.series_id], old.ts, old.ts
  where not exists (select from store.bars_series s where s.series_id = old.series_id and s.timeframe <> '1m');
  return null;
end $$;

-- An empty table like a dataset's own.
create function store.new_table(dataset text, new_name text, partition_clause text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  statistics constant text := (
    select string_agg(format('alter column %I set statistics 0', a.attname), ', ')
    from pg_attribute a
    where a.attrelid = format('store.%I', dataset || '_data')::regclass and a.attnum > 0 and a.attstattarget = 0
  );
begin
  execute format('create table store.%I (like store.%I including all) %s', new_name, dataset || '_data', partition_clause);
  execute format('alter table store.%I %s', new_name, statistics);
end $$;

-- An empty hypertable like a dataset's own table.
create function store.new_hypertable(dataset text, new_name text, width text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  extension constant name := store.timescale_schema();
  keys constant name[] := (
    select array_agg(a.attname order by array_position(c.conkey, a.attnum))
    from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
    where c.conrelid = format('store.%I', dataset || '_data')::regclass and c.contype = 'p'
  );
begin
  perform store.new_table(dataset, new_name, '');
  execute format('select %1$I.create_hypertable(%2$L::regclass, %1$I.by_range(%3$L, %4$L::interval), create_default_indexes => false)',
    extension, format('store.%I', new_name), keys[2], width);
  -- Within a series the newest first; what else is in the key comes last.
  execute format('alter table store.%I set (timescaledb.enable_columnstore, timescaledb.segmentby = ''series_id'', timescaledb.orderby = %L)',
    new_name, format('%I desc', keys[2]) || coalesce(', ' || quote_ident(keys[3]), ''));
end $$;

-- Puts a table in the place of a dataset's own, which gets another name; views and triggers of ours go over to it.
-- Nobody else can use either until the transaction ends.
create function store.swap_table(dataset text, new_name text, old_name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  data constant text := dataset || '_data';
  old_table regclass;
  statements text[];
  statement text;
begin
  execute format('lock table store.%I in access exclusive mode', data);
  old_table := format('store.%I', data)::regclass;
  statements := array(
    select format('create or replace view %s with (%s) as %s', v.oid::regclass, array_to_string(v.reloptions, ', '), pg_get_viewdef(v.oid))
    from pg_class v
    where v.relkind = 'v' and v.relnamespace = 'mds'::regnamespace and v.oid in (
      select r.ev_class from pg_depend d join pg_rewrite r on r.oid = d.objid
      where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = old_table
    )
  ) || array(
    select pg_get_triggerdef(t.oid) from pg_trigger t
    where t.tgrelid = old_table and not t.tgisinternal and t.tgname not in ('bars_deleted', 'ts_insert_blocker')
      and not starts_with(t.tgname, 'moved_')
  );
  execute format('alter table store.%I rename constraint %I to %I', data, data || '_pkey', old_name || '_pkey');
  execute format('alter table store.%I rename to %I', data, old_name);
  execute format('alter table store.%I rename constraint %I to %I', new_name, new_name || '_pkey', data || '_pkey');
  execute format('alter table store.%I rename to %I', new_name, data);
  foreach statement in array statements loop
    execute statement;
  end loop;
  if dataset = 'bars' and store.is_hypertable(dataset) then
    create trigger bars_deleted after delete on store.bars_data
      for each row when (current_setting('store.marks_itself', true) is distinct from 'yes')
      execute function store.mark_deleted_bar();
  elsif dataset = 'bars' then
    create trigger bars_deleted after delete on store.bars_data
      referencing old table as old_rows
      for each statement execute function store.mark_changed_bars();
  end if;
end $$;

-- Copies a table's rows of a half-open time into another one like it, in the place of what that has there. Answers with
-- how many rows and series they were; raises MD016 where a series then has other rows there than here.
create function store.copy_rows(
  from_name text, to_name text, time_column name, range_start timestamptz, range_end timestamptz,
  out copied int8, out series int8
)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  columns constant text := (
    select string_agg(format('%I', a.attname), ', ' order by a.attnum) from pg_attribute a
    where a.attrelid = format('store.%I', to_name)::regclass and a.attnum > 0 and not a.attisdropped
  );
  bounds constant text := format('%1$I >= %2$L and %1$I < %3$L', time_column, range_start, range_end);
  -- The sum of hashes of all fields does not depend on the order of rows.
  sums constant text := format('select series_id, count(*) as n, sum(hashtextextended(row(%s)::text, 0)) as h from store.%%I where %s group by 1', columns, bounds);
  wrong int8;
begin
  execute format('delete from store.%I where %s', to_name, bounds);
  execute format('insert into store.%I (%s) select %s from store.%I where %s', to_name, columns, columns, from_name, bounds);
  execute format('select coalesce(sum(a.n), 0), count(a.series_id), count(*) filter (where (a.n, a.h) is distinct from (b.n, b.h))
    from (%s) a full join (%s) b on b.series_id = a.series_id', format(sums, from_name), format(sums, to_name))
  into copied, series, wrong;
  if wrong > 0 then
    raise exception '% series of % differ from their copies in %.', wrong, from_name, to_name using errcode = 'MD016';
  end if;
end $$;

-- Puts a dataset's rows into a hypertable, all at once: for a database that has few.
create function store.make_hypertable(dataset text, width text, compress_after interval) returns void
language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  data constant text := dataset || '_data';
begin
  perform store.new_hypertable(dataset, data || '_new', width);
  perform store.swap_table(dataset, data || '_new', data || '_before');
  perform store.copy_rows(data || '_before', data, store.time_column(dataset), '-infinity', 'infinity');
  execute format('drop table store.%I', data || '_before');
  perform store.settle_hypertable(dataset, width, compress_after);
end $$;

create function store.time_column(dataset text) returns name
language sql stable set search_path = pg_catalog, pg_temp as $$
  select a.attname from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[2]
  where c.conrelid = format('store.%I', dataset || '_data')::regclass and c.contype = 'p'
$$;

-- The policy of what is in a hypertable now.
create function store.settle_hypertable(dataset text, width text, compress_after interval) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update store.policies p set partition_width = width, compress_after = settle_hypertable.compress_after
  where p.dataset = settle_hypertable.dataset;
  perform store.set_compression(dataset, compress_after);
end $$;

-- A move of a live dataset from PostgreSQL's own partitions: which of these are copied, and which times were written to
-- since they were. See src/database/engine/move-to-timescale.ts.
create table store.moved_partitions (
  dataset text not null,
  partition_name text not null,
  row_count int8 not null,
  series_count int8 not null,
  copied_at timestamptz not null default now(),
  primary key (dataset, partition_name)
);
create table store.moved_changes (
  dataset text not null,
  min_time timestamptz not null,
  max_time timestamptz not null
);
alter table store.moved_changes
  alter column dataset set statistics 0,
  alter column min_time set statistics 0,
  alter column max_time set statistics 0;

-- Says that rows of these times were written, changed or deleted, in the transaction that did so.
create function store.note_move() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  dataset constant text := tg_argv[0];
begin
  if tg_op in ('INSERT', 'UPDATE') then
    execute format('insert into store.moved_changes (dataset, min_time, max_time)
      select %1$L, min(%2$I), max(%2$I) from new_rows having count(*) > 0', dataset, tg_argv[1]);
  end if;
  if tg_op in ('DELETE', 'UPDATE') then
    execute format('insert into store.moved_changes (dataset, min_time, max_time)
      select %1$L, min(%2$I), max(%2$I) from old_rows having count(*) > 0', dataset, tg_argv[1]);
  end if;
  return null;
end $$;

-- Begins a move, or goes on with one: the table to copy to, and the triggers that note what is written from now on.
create function store.begin_move(dataset text, width text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  data constant text := dataset || '_data';
begin
  if to_regclass(format('store.%I', data || '_moving')) is not null then
    return;
  end if;
  delete from store.moved_partitions m where m.dataset = begin_move.dataset;
  delete from store.moved_changes m where m.dataset = begin_move.dataset;
  execute format('create trigger moved_inserts after insert on store.%1$I referencing new table as new_rows
    for each statement execute function store.note_move(%2$L, %3$L);
    create trigger moved_updates after update on store.%1$I referencing old table as old_rows new table as new_rows
    for each statement execute function store.note_move(%2$L, %3$L);
    create trigger moved_deletes after delete on store.%1$I referencing old table as old_rows
    for each statement execute function store.note_move(%2$L, %3$L)', data, dataset, store.time_column(dataset));
  perform store.new_hypertable(dataset, data || '_moving', width);
end $$;

-- Copies once more what was written since; how many times these were.
create function store.follow_move(dataset text) returns int8
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  data constant text := dataset || '_data';
  ranges tstzmultirange;
  part tstzrange;
begin
  with taken as (
    delete from store.moved_changes m where m.dataset = follow_move.dataset returning m.min_time, m.max_time
  )
  select range_agg(tstzrange(date_trunc('hour', t.min_time, 'UTC'), date_trunc('hour', t.max_time, 'UTC') + interval '1 hour'))
  into ranges from taken t;
  for part in select unnest(ranges) loop
    perform store.copy_rows(data, data || '_moving', store.time_column(dataset), lower(part), upper(part));
  end loop;
  return (select count(*) from unnest(ranges));
end $$;

-- Ends a move, while everybody waits: the rest is copied, and the hypertable takes the place. The former table stays.
-- The strongest lock from the beginning: to raise a weaker one deadlocks with whoever has read and is about to write.
create function store.end_move(dataset text, width text, compress_after interval) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  data constant text := dataset || '_data';
begin
  execute format('lock table store.%I in access exclusive mode', data);
  perform store.follow_move(dataset);
  perform store.swap_table(dataset, data || '_moving', data || '_plain');
  execute format('drop trigger moved_inserts on store.%1$I; drop trigger moved_updates on store.%1$I; drop trigger moved_deletes on store.%1$I', data || '_plain');
  perform store.settle_hypertable(dataset, width, compress_after);
end $$;

-- What a dataset's hypertable is like where nobody has said anything else.
create function store.hypertable_defaults() returns table (dataset text, width text, compress_after interval)
language sql immutable set search_path = pg_catalog, pg_temp as $$
  values ('bars', '7 days', interval '30 days'), ('options', '7 days', interval '30 days'),
    ('news', '30 days', interval '90 days'), ('signals', '30 days', interval '90 days'),
    ('fundamentals', '90 days', null::interval),
    ('bars_5m', '30 days', null), ('bars_15m', '30 days', null), ('bars_1h', '90 days', null), ('bars_1d', '360 days', null)
$$;

-- On a hypertable a row's place does not tell it apart, and in the columnstore it has none: keys do. Chunk by chunk, so
-- that no statement is planned for all of them; where that is too much, series by series, by the time of the last row
-- that is to go.
create function store.delete_series_rows(dataset text, ids int4[], max_rows int4) returns int8
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  time_column constant name := store.time_column(dataset);
  rows_there constant text :=
    format('store.%1$I d where d.%2$I >= $2 and d.%2$I < $3 and d.series_id = ', dataset || '_data', time_column);
  deleted int8 := 0;
  gone int8;
  chunk record;
  last_time timestamptz;
begin
  perform set_config('store.marks_itself', 'yes', true);
  for chunk in select p.range_start, p.range_end from store.partitions(dataset) p order by 1 loop
    exit when deleted >= max_rows;
    execute 'select count(*) from (select from ' || rows_there || 'any ($1) limit $4) l'
    into gone using ids, chunk.range_start, chunk.range_end, max_rows - deleted + 1;
    continue when gone = 0;
    if deleted + gone <= max_rows then
      execute 'delete from ' || rows_there || 'any ($1)' using ids, chunk.range_start, chunk.range_end;
      deleted := deleted + gone;
      continue;
    end if;
    for at in 1..cardinality(ids) loop
      exit when deleted >= max_rows;
      execute format('select max(l.at) from (select d.%1$I as at from %2$s $1 order by d.%1$I limit $4) l', time_column, rows_there)
      into last_time using ids[at], chunk.range_start, chunk.range_end, max_rows - deleted;
      continue when last_time is null;
      execute format('delete from %2$s $1 and d.%1$I <= $4', time_column, rows_there)
      using ids[at], chunk.range_start, chunk.range_end, last_time;
      get diagnostics gone = row_count;
      deleted := deleted + gone;
    end loop;
  end loop;
  perform set_config('store.marks_itself', '', true);
  return deleted;
end $$;

-- As before, and of a hypertable by key. That may be a few more rows than asked for, where several have one time.
create or replace function mds.delete_tenant_rows(tenant uuid, table_name text, max_rows int4) returns int8
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  target record;
  ids int4[];
  deleted int8;
begin
  if max_rows is null or max_rows not between 1 and 50000 then
    raise exception 'One call deletes 1 to 50000 rows, not %.', max_rows using errcode = '22023';
  end if;
  if not exists (select from store.tenants t where t.id = tenant and t.state = 'deleting') then
    raise exception 'There is no tenant % that is being deleted.', tenant using errcode = '22023';
  end if;
  select t.table_name, t.series_table into target
  from store.tenant_tables() t where t.table_name::text = delete_tenant_rows.table_name;
  -- Retention may have dropped it meanwhile.
  if not found then
    return 0;
  end if;
  if target.series_table is null then
    execute format(
      'delete from store.%1$I d where d.tenant_id = $1
         and d.ctid = any (array(select e.ctid from store.%1$I e where e.tenant_id = $1 limit $2))', target.table_name)
    using tenant, max_rows;
  else
    execute format('select array(select s.series_id from store.%I s where s.tenant_id = $1)', target.series_table)
    into ids using tenant;
    if store.is_hypertable(regexp_replace(target.table_name, '_data$', '')) then
      return store.delete_series_rows(regexp_replace(target.table_name, '_data$', ''), ids, max_rows);
    end if;
    -- The series are asked for twice: where one name stood for several tables, places of rows would not tell them apart.
    execute format(
      'delete from store.%1$I d where d.series_id = any ($1)
         and d.ctid = any (array(select e.ctid from store.%1$I e where e.series_id = any ($1) limit $2))', target.table_name)
    using ids, max_rows;
  end if;
  get diagnostics deleted = row_count;
  return deleted;
end $$;

-- One late batch over many series touches more compressed rows than TimescaleDB allows a statement by itself.
do $migration$
declare
  f regprocedure;
begin
  for f in
    select p.oid::regprocedure from pg_proc p
    where p.pronamespace in ('mds'::regnamespace, 'store'::regnamespace)
      and (p.proname ~ '^(upsert|insert)_' or p.proname in ('refresh_aggregates', 'delete_tenant_rows'))
  loop
    execute format('alter function %s set timescaledb.max_tuples_decompressed_per_dml_transaction = 0', f);
  end loop;
end $migration$;

revoke execute on function store.timescale_schema, store.is_hypertable, store.width_interval, store.period_start,
  store.make_chunks, store.set_compression, store.mark_deleted_bar, store.new_table, store.new_hypertable, store.swap_table, store.copy_rows,
  store.make_hypertable, store.time_column, store.settle_hypertable, store.note_move, store.begin_move, store.follow_move,
  store.end_move, store.hypertable_defaults, store.delete_series_rows from public;

-- Of a database that is made for this engine. One that moves here does so dataset by dataset.
do $migration$
begin
  if coalesce((select s.value from store.settings s where s.name = 'engine'), 'timescale') <> 'plain' then
    perform store.make_hypertable(p.dataset, d.width, coalesce(p.compress_after, d.compress_after))
    from store.policies p join store.hypertable_defaults() d on d.dataset = p.dataset;
  end if;
end $migration$;

-- migrate:down
do $migration$
declare
  moved record;
  months timestamptz[];
begin
  for moved in
    select p.dataset, p.dataset || '_data' as data, d.column_name as time_column,
      case when p.dataset in ('bars', 'options', 'bars_5m', 'bars_15m') then 'month' else 'year' end as width
    from store.policies p
    join timescaledb_information.dimensions d on d.hypertable_schema = 'store' and d.hypertable_name = (p.dataset || '_data')::name
  loop
    perform store.new_table(moved.dataset, moved.data || '_new', format('partition by range (%I)', moved.time_column));
    perform store.swap_table(moved.dataset, moved.data || '_new', moved.data || '_before');
    update store.policies p set partition_width = moved.width,
      compress_after = nullif(p.compress_after, (select d.compress_after from store.hypertable_defaults() d where d.dataset = p.dataset))
    where p.dataset = moved.dataset;
    execute format('select array_agg(distinct date_trunc(''month'', d.%I, ''UTC'')) from store.%I d', moved.time_column, moved.data || '_before')
    into months;
    for at in 0..coalesce(cardinality(months), 0) / 64 loop
      perform store.make_partitions(moved.dataset, months[at * 64 + 1:at * 64 + 64]);
    end loop;
    perform store.copy_rows(moved.data || '_before', moved.data, moved.time_column, '-infinity', 'infinity');
    execute format('drop table store.%I', moved.data || '_before');
  end loop;
end $migration$;

do $migration$
declare
  f regprocedure;
begin
  for f in
    select p.oid::regprocedure from pg_proc p
    where array_to_string(p.proconfig, ' ') like '%timescaledb.max_tuples_decompressed_per_dml_transaction%'
  loop
    execute format('alter function %s reset timescaledb.max_tuples_decompressed_per_dml_transaction', f);
  end loop;
end $migration$;

create or replace function mds.delete_tenant_rows(tenant uuid, table_name text, max_rows int4) returns int8
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  target record;
  ids int4[];
  deleted int8;
begin
  if max_rows is null or max_rows not between 1 and 50000 then
    raise exception 'One call deletes 1 to 50000 rows, not %.', max_rows using errcode = '22023';
  end if;
  if not exists (select from store.tenants t where t.id = tenant and t.state = 'deleting') then
    raise exception 'There is no tenant % that is being deleted.', tenant using errcode = '22023';
  end if;
  select t.table_name, t.series_table into target
  from store.tenant_tables() t where t.table_name::text = delete_tenant_rows.table_name;
  -- Retention may have dropped it meanwhile.
  if not found then
    return 0;
  end if;
  if target.series_table is null then
    execute format(
      'delete from store.%1$I d where d.tenant_id = $1
         and d.ctid = any (array(select e.ctid from store.%1$I e where e.tenant_id = $1 limit $2))', target.table_name)
    using tenant, max_rows;
  else
    execute format('select array(select s.series_id from store.%I s where s.tenant_id = $1)', target.series_table)
    into ids using tenant;
    -- The series are asked for twice: where one name stood for several tables, places of rows would not tell them apart.
    execute format(
      'delete from store.%1$I d where d.series_id = any ($1)
         and d.ctid = any (array(select e.ctid from store.%1$I e where e.series_id = any ($1) limit $2))', target.table_name)
    using ids, max_rows;
  end if;
  get diagnostics deleted = row_count;
  return deleted;
end $$;

drop function store.delete_series_rows(text, int4[], int4);
drop function store.hypertable_defaults();
drop function store.end_move(text, text, interval);
drop function store.follow_move(text);
drop function store.begin_move(text, text);
drop function store.note_move();
drop table store.moved_changes;
drop table store.moved_partitions;
drop function store.settle_hypertable(text, text, interval);
drop function store.make_chunks(text, timestamptz[]);
drop function store.time_column(text);
drop function store.make_hypertable(text, text, interval);
drop function store.copy_rows(text, text, name, timestamptz, timestamptz);
drop function store.swap_table(text, text, text);
drop function store.new_hypertable(text, text, text);
drop function store.new_table(text, text, text);
drop function store.mark_deleted_bar();

create or replace function mds.set_policy(dataset text, changes jsonb, check_only boolean) returns boolean
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

create or replace function store.kept_since(dataset text) returns timestamptz
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

create or replace function store.uncovered(dataset text, starts timestamptz[]) returns timestamptz[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select array(
    select s from unnest(starts) s
    where not exists (select from store.partitions(dataset) p where s >= p.range_start and s < p.range_end)
    order by s
  )
$$;

create or replace function store.all_partitions(dataset text)
returns table (partition_name text, range_start timestamptz, range_end timestamptz, detaching boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' as $$
  select c.relname::text, bounds[1]::timestamptz, bounds[2]::timestamptz, i.inhdetachpending
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid
  cross join lateral regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM [(]''(.+)''[)] TO [(]''(.+)''[)]') as bounds
  where i.inhparent = to_regclass(format('store.%I', dataset || '_data'))
$$;

drop function store.set_compression(text, interval);
drop function store.period_start(text, timestamptz);
drop function store.width_interval(text);
drop function store.is_hypertable(text);
drop function store.timescale_schema();
alter table store.policies drop constraint partition_width_known;
alter table store.policies add constraint partition_width_known check (partition_width in ('month', 'year'));
