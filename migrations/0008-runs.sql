-- The ledger of runs: every run of a job or pipeline leaves a row. A tenant sees and touches its own runs; those without
-- a tenant are the system's, for sessions that act as mds_admin. Runs as mds_owner.
-- migrate:up
create table store.job_runs (
  run_id uuid not null,
  tenant_id uuid references store.tenants (id),
  -- The tenant, or for the system a value that no tenant has: a null could be no part of the key.
  scope uuid not null generated always as (coalesce(tenant_id, '00000000-0000-0000-0000-000000000000')) stored,
  job_name text not null,
  dataset text,
  provider text,
  mode text not null constraint mode_known check (mode in ('live', 'backfill', 'maintenance')),
  status text not null default 'running'
    constraint status_known check (status in ('running', 'succeeded', 'failed', 'cancelled')),
  config_fingerprint text constraint config_fingerprint_form check (config_fingerprint ~ '^[0-9a-f]{16}$'),
  rows_written int8 not null default 0 constraint rows_written_range check (rows_written >= 0),
  rows_failed int8 not null default 0 constraint rows_failed_range check (rows_failed >= 0),
  symbols text[] not null default '{}',
  min_ts timestamptz,
  max_ts timestamptz,
  error text constraint error_length check (char_length(error) <= 4000),
  metadata jsonb constraint metadata_object check (jsonb_typeof(metadata) = 'object')
    constraint metadata_size check (octet_length(metadata::text) <= 1000000),
  -- Ids of the calls that were counted last, so that one whose answer was lost can be repeated.
  recent_calls uuid[] not null default '{}',
  heartbeat_at timestamptz not null default now(),
  started_at timestamptz not null default now(),
  completed_at timestamptz,
  elapsed interval generated always as (completed_at - started_at) stored,
  primary key (scope, run_id),
  constraint job_name_text check (char_length(job_name) between 1 and 64 and job_name = btrim(job_name) and job_name !~ '[[:cntrl:]]'),
  constraint dataset_text check (char_length(dataset) between 1 and 64 and dataset = btrim(dataset) and dataset !~ '[[:cntrl:]]'),
  constraint provider_text check (char_length(provider) between 1 and 64 and provider = btrim(provider) and provider !~ '[[:cntrl:]]'),
  constraint symbols_list check (cardinality(symbols) <= 100000 and array_position(symbols, null) is null),
  constraint times_order check (min_ts > '-infinity' and max_ts < 'infinity' and min_ts <= max_ts),
  constraint times_both check ((min_ts is null) = (max_ts is null)),
  constraint completed_once check ((status = 'running') = (completed_at is null)),
  constraint error_of_failure check (error is null or status in ('failed', 'cancelled'))
);
-- What tenants store must not show in the planner's estimates, so statistics are kept of ids only.
alter table store.job_runs
  alter column run_id set statistics 0,
  alter column job_name set statistics 0,
  alter column dataset set statistics 0,
  alter column provider set statistics 0,
  alter column config_fingerprint set statistics 0,
  alter column rows_written set statistics 0,
  alter column rows_failed set statistics 0,
  alter column symbols set statistics 0,
  alter column min_ts set statistics 0,
  alter column max_ts set statistics 0,
  alter column error set statistics 0,
  alter column metadata set statistics 0,
  alter column recent_calls set statistics 0,
  alter column mode set statistics 0,
  alter column status set statistics 0,
  alter column heartbeat_at set statistics 0,
  alter column started_at set statistics 0,
  alter column completed_at set statistics 0,
  alter column elapsed set statistics 0;
-- Heartbeats and progress change no column of an index, so that they stay cheap.
create index job_runs_started on store.job_runs (scope, started_at desc, run_id);
create index job_runs_running on store.job_runs (scope) where status = 'running';
create index job_runs_completed on store.job_runs (scope, completed_at) where completed_at is not null;

-- Whose runs this session sees: its tenant's; the system's when it acts as mds_admin, which only a member can; else null.
-- Functions ask before they query: were it a part of the query, conditions would decide whether it is asked at all.
create function store.run_scope() returns uuid
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select case current_setting('role')
    when 'mds_admin' then '00000000-0000-0000-0000-000000000000'::uuid
    else store.current_tenant()
  end
$$;

create function store.require_run_scope() returns uuid
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select case current_setting('role') when 'mds_admin' then store.run_scope() else store.require_tenant() end
$$;

-- What all changes of a run have in common. A call that was counted already changes nothing, and neither does one on a
-- finished run. A run of somebody else and one that does not exist look the same.
create function store.advance_run(
  wanted uuid, call_id uuid, new_status text, failure text, more_written int8, more_failed int8,
  more_symbols text[], earliest timestamptz, latest timestamptz, more_metadata jsonb
) returns store.job_runs
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  owner uuid := store.require_run_scope();
  run store.job_runs;
begin
  select r.* into run from store.job_runs r where r.scope = owner and r.run_id = wanted for update;
  if not found then
    raise exception 'Run % does not exist.', wanted using errcode = 'MD003';
  end if;
  if call_id = any (run.recent_calls) then
    return run;
  end if;
  if run.status <> 'running' then
    raise exception 'Run % has %.', wanted, case run.status when 'cancelled' then 'been cancelled' else run.status end
      using errcode = 'MD004';
  end if;
  if more_written < 0 or more_failed < 0 then
    raise exception 'Progress is added; it cannot be negative.' using errcode = '22023';
  end if;
  update store.job_runs r set
    status = new_status,
    error = failure,
    rows_written = r.rows_written + coalesce(more_written, 0),
    rows_failed = r.rows_failed + coalesce(more_failed, 0),
    symbols = case
      when exists (select unnest(more_symbols) except select unnest(r.symbols))
      then array(select s from unnest(r.symbols || more_symbols) s group by s order by s collate "C")
      else r.symbols
    end,
    min_ts = least(r.min_ts, earliest, latest),
    max_ts = greatest(r.max_ts, earliest, latest),
    metadata = case when more_metadata is null then r.metadata else coalesce(r.metadata, '{}') || more_metadata end,
    recent_calls = case when call_id is null then r.recent_calls else (call_id || r.recent_calls)[1:64] end,
    heartbeat_at = greatest(r.heartbeat_at, clock_timestamp()),
    completed_at = case when new_status <> 'running' then greatest(r.started_at, clock_timestamp()) end
  where r.scope = owner and r.run_id = wanted
  returning r.* into run;
  return run;
end $$;

-- Begins a run under an id that the caller made; the same call again answers with the run as it is.
create function mds.start_run(
  run_id uuid, job_name text, mode text, dataset text default null, provider text default null,
  config_fingerprint text default null, symbols text[] default null, metadata jsonb default null
) returns store.job_runs
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  owner uuid := store.require_run_scope();
  run store.job_runs;
begin
  insert into store.job_runs (run_id, tenant_id, job_name, mode, dataset, provider, config_fingerprint, symbols, metadata)
  values (
    start_run.run_id, nullif(owner, '00000000-0000-0000-0000-000000000000'), start_run.job_name, start_run.mode,
    start_run.dataset, start_run.provider, start_run.config_fingerprint,
    array(select s from unnest(start_run.symbols) s group by s order by s collate "C"), start_run.metadata
  )
  on conflict on constraint job_runs_pkey do nothing;
  select r.* into run from store.job_runs r where r.scope = owner and r.run_id = start_run.run_id;
  return run;
end $$;

-- Adds to a run's counts, widens its window, adds symbols and metadata, in one step; counts as a heartbeat.
create function mds.progress_run(
  run_id uuid, rows_written int8 default 0, rows_failed int8 default 0, symbols text[] default null,
  min_ts timestamptz default null, max_ts timestamptz default null, metadata jsonb default null, call_id uuid default null
) returns store.job_runs
language sql security definer set search_path = pg_catalog, pg_temp as $$
  select store.advance_run(run_id, call_id, 'running', null, rows_written, rows_failed, symbols, min_ts, max_ts, metadata)
$$;

create function mds.heartbeat_run(run_id uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform store.advance_run(run_id, null, 'running', null, 0, 0, null, null, null, null);
end $$;

-- Ends a run, with a last progress. Nothing changes it afterwards.
create function mds.complete_run(
  run_id uuid, status text, error text default null, rows_written int8 default 0, rows_failed int8 default 0,
  symbols text[] default null, min_ts timestamptz default null, max_ts timestamptz default null,
  metadata jsonb default null, call_id uuid default null
) returns store.job_runs
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if status is null or status = 'running' then
    raise exception 'A run ends as succeeded, failed or cancelled.' using errcode = '22023';
  end if;
  return store.advance_run(run_id, call_id, status, error, rows_written, rows_failed, symbols, min_ts, max_ts, metadata);
end $$;

create function mds.get_run(run_id uuid) returns store.job_runs
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  owner uuid := store.run_scope();
  run store.job_runs;
begin
  select r.* into run from store.job_runs r where r.scope = owner and r.run_id = get_run.run_id;
  if not found then
    raise exception 'Run % does not exist.', get_run.run_id using errcode = 'MD003';
  end if;
  return run;
end $$;

-- The newest runs first; a null filter means any.
create function mds.recent_runs(
  max_rows int4 default 100, only_job text default null, only_provider text default null, only_dataset text default null,
  only_mode text default null, only_status text default null
) returns setof store.job_runs
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  owner uuid := store.run_scope();
begin
  return query
    select r.*
    from store.job_runs r
    where r.scope = owner
      and (only_job is null or r.job_name = only_job)
      and (only_provider is null or r.provider = only_provider)
      and (only_dataset is null or r.dataset = only_dataset)
      and (only_mode is null or r.mode = only_mode)
      and (only_status is null or r.status = only_status)
    order by r.started_at desc, r.run_id
    limit max_rows;
end $$;

-- Running, and not heard of for so long by this server's clock; the longest silence first.
create function mds.stuck_runs(silence interval, max_rows int4 default 100) returns setof store.job_runs
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  owner uuid := store.run_scope();
  silent_since timestamptz := now() - silence;
begin
  return query
    select r.*
    from store.job_runs r
    where r.scope = owner and r.status = 'running' and r.heartbeat_at < silent_since
    order by r.heartbeat_at, r.run_id
    limit max_rows;
end $$;

create function store.prune_before(days int4) returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if days is null or days < 1 then
    raise exception 'Runs are kept for at least one day, not %.', days using errcode = '22023';
  end if;
  return now() - days * interval '24 hours';
end $$;

-- Deletes finished runs that ended so many days ago or earlier, the oldest first, at most max_rows; how many it were.
create function mds.prune_runs(days int4, max_rows int4) returns int8
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  owner uuid := store.require_run_scope();
  ended_before timestamptz := store.prune_before(days);
  pruned int8;
begin
  if max_rows is null or max_rows not between 1 and 10000 then
    raise exception 'One call prunes 1 to 10000 runs, not %.', max_rows using errcode = '22023';
  end if;
  -- Another session that prunes at the same time has these rows locked; it deletes them.
  delete from store.job_runs r
  where r.scope = owner and r.run_id in (
    select o.run_id from store.job_runs o
    where o.scope = owner and o.completed_at < ended_before
    order by o.completed_at limit max_rows for update skip locked
  );
  get diagnostics pruned = row_count;
  return pruned;
end $$;

-- How many runs prune_runs would delete.
create function mds.count_prunable_runs(days int4) returns int8
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  owner uuid := store.run_scope();
  ended_before timestamptz := store.prune_before(days);
begin
  return (select count(*) from store.job_runs r where r.scope = owner and r.completed_at < ended_before);
end $$;

-- Runs that ended in the last so many hours or are still running, by job.
create function mds.summarize_runs(hours int4)
returns table (
  job_name text, provider text, mode text, runs int8, running int8, succeeded int8, failed int8, cancelled int8,
  rows_written numeric, rows_failed numeric, mean_elapsed interval, max_elapsed interval, last_started_at timestamptz
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  owner uuid := store.run_scope();
  ended_since timestamptz := now() - hours * interval '1 hour';
begin
  return query
    select r.job_name, r.provider, r.mode, count(*),
      count(*) filter (where r.status = 'running'), count(*) filter (where r.status = 'succeeded'),
      count(*) filter (where r.status = 'failed'), count(*) filter (where r.status = 'cancelled'),
      sum(r.rows_written), sum(r.rows_failed), avg(r.elapsed), max(r.elapsed), max(r.started_at)
    from store.job_runs r
    where r.scope = owner
      and (r.status = 'running' or r.completed_at >= ended_since)
    group by r.job_name, r.provider, r.mode
    order by r.job_name collate "C", r.provider collate "C" nulls first, r.mode collate "C";
end $$;

-- The same of the last 24 hours for all tenants and the system (no tenant), for those who run the store.
create view mds.job_runs_summary as
select t.slug as tenant, r.job_name, r.provider, r.mode, count(*) as runs,
  count(*) filter (where r.status = 'running') as running, count(*) filter (where r.status = 'succeeded') as succeeded,
  count(*) filter (where r.status = 'failed') as failed, count(*) filter (where r.status = 'cancelled') as cancelled,
  sum(r.rows_written) as rows_written, sum(r.rows_failed) as rows_failed, avg(r.elapsed) as mean_elapsed,
  max(r.elapsed) as max_elapsed, max(r.started_at) as last_started_at,
  min(r.heartbeat_at) filter (where r.status = 'running') as oldest_heartbeat_at
from store.job_runs r
left join store.tenants t on t.id = r.tenant_id
where r.status = 'running' or r.completed_at >= now() - interval '24 hours'
group by t.slug, r.job_name, r.provider, r.mode;

revoke execute on function store.run_scope, store.require_run_scope, store.advance_run, store.prune_before, mds.start_run,
  mds.progress_run, mds.heartbeat_run, mds.complete_run, mds.get_run, mds.recent_runs, mds.stuck_runs, mds.prune_runs,
  mds.count_prunable_runs, mds.summarize_runs from public;
grant execute on function mds.get_run, mds.recent_runs, mds.stuck_runs, mds.count_prunable_runs, mds.summarize_runs
  to mds_app, mds_admin, mds_reader;
grant execute on function mds.start_run, mds.progress_run, mds.heartbeat_run, mds.complete_run, mds.prune_runs
  to mds_app, mds_admin;
grant select on mds.job_runs_summary to mds_admin;

-- migrate:down
drop view mds.job_runs_summary;
drop function mds.summarize_runs(int4);
drop function mds.count_prunable_runs(int4);
drop function mds.prune_runs(int4, int4);
drop function store.prune_before(int4);
drop function mds.stuck_runs(interval, int4);
drop function mds.recent_runs(int4, text, text, text, text, text);
drop function mds.get_run(uuid);
drop function mds.complete_run(uuid, text, text, int8, int8, text[], timestamptz, timestamptz, jsonb, uuid);
drop function mds.heartbeat_run(uuid);
drop function mds.progress_run(uuid, int8, int8, text[], timestamptz, timestamptz, jsonb, uuid);
drop function mds.start_run(uuid, text, text, text, text, text, text[], jsonb);
drop function store.advance_run(uuid, uuid, text, text, int8, int8, text[], timestamptz, timestamptz, jsonb);
drop function store.require_run_scope();
drop function store.run_scope();
drop table store.job_runs;
