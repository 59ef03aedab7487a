-- What the job runner keeps beside the queue: how far each job is, from where it goes on, and which run of the ledger is
-- its last. The queue itself is pg-boss's, in schema pgboss, which the runner makes as mds_owner when it first starts;
-- the functions that read it see an empty queue until then. Runs as mds_owner.
-- migrate:up
create table store.job_progress (
  job_id uuid primary key,
  job_name text not null,
  -- The attempt that may write here; an earlier one that still runs somewhere is refused.
  attempt int4 not null constraint attempt_positive check (attempt >= 1),
  run_id uuid not null,
  -- Whose ledger has the run; null is the system's. No reference: the job that deletes a tenant outlives it.
  tenant_id uuid,
  run_open boolean not null default true,
  rows_written int8 not null default 0 constraint rows_written_range check (rows_written >= 0),
  rows_failed int8 not null default 0 constraint rows_failed_range check (rows_failed >= 0),
  message text constraint message_length check (char_length(message) <= 1000),
  checkpoint jsonb constraint checkpoint_size check (octet_length(checkpoint::text) <= 1000000),
  updated_at timestamptz not null default now()
);
create index job_progress_open on store.job_progress (job_id) where run_open;
-- As in every table, what is stored must not show in the planner's estimates.
alter table store.job_progress
  alter column job_id set statistics 0,
  alter column job_name set statistics 0,
  alter column attempt set statistics 0,
  alter column run_id set statistics 0,
  alter column tenant_id set statistics 0,
  alter column run_open set statistics 0,
  alter column rows_written set statistics 0,
  alter column rows_failed set statistics 0,
  alter column message set statistics 0,
  alter column checkpoint set statistics 0,
  alter column updated_at set statistics 0;

-- Begins an attempt: from where it goes on, and the run of an earlier one that was never completed. The same call again
-- answers the same.
create function mds.begin_job_attempt(job_id uuid, job_name text, attempt int4, run_id uuid, tenant_id uuid)
returns table (checkpoint jsonb, rows_written int8, rows_failed int8, open_run_id uuid, open_tenant_id uuid)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  before store.job_progress;
begin
  insert into store.job_progress (job_id, job_name, attempt, run_id, tenant_id)
  values (begin_job_attempt.job_id, begin_job_attempt.job_name, begin_job_attempt.attempt, begin_job_attempt.run_id,
    begin_job_attempt.tenant_id)
  on conflict (job_id) do nothing;
  select p.* into strict before from store.job_progress p where p.job_id = begin_job_attempt.job_id for update;
  if before.attempt > begin_job_attempt.attempt then
    raise exception 'Attempt % of job % is over.', begin_job_attempt.attempt, begin_job_attempt.job_id using errcode = 'MD011';
  end if;
  update store.job_progress p set
    attempt = begin_job_attempt.attempt, run_id = begin_job_attempt.run_id, tenant_id = begin_job_attempt.tenant_id,
    run_open = true, updated_at = clock_timestamp()
  where p.job_id = begin_job_attempt.job_id;
  return query select before.checkpoint, before.rows_written, before.rows_failed,
    case when before.run_open and before.run_id <> begin_job_attempt.run_id then before.run_id end,
    case when before.run_open and before.run_id <> begin_job_attempt.run_id then before.tenant_id end;
end $$;

-- What all writes of an attempt have in common: only the last attempt may.
create function store.require_attempt(wanted uuid, given int4) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform from store.job_progress p where p.job_id = wanted and p.attempt = given for update;
  if not found then
    raise exception 'Attempt % of job % is over.', given, wanted using errcode = 'MD011';
  end if;
end $$;

-- Counts are those of all attempts so far, so that a call may be repeated.
create function mds.save_job_progress(job_id uuid, attempt int4, rows_written int8, rows_failed int8, message text)
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  perform store.require_attempt(save_job_progress.job_id, save_job_progress.attempt);
  update store.job_progress p set
    rows_written = save_job_progress.rows_written, rows_failed = save_job_progress.rows_failed,
    message = coalesce(save_job_progress.message, p.message), updated_at = clock_timestamp()
  where p.job_id = save_job_progress.job_id;
end $$;

create function mds.save_job_checkpoint(job_id uuid, attempt int4, checkpoint jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  perform store.require_attempt(save_job_checkpoint.job_id, save_job_checkpoint.attempt);
  update store.job_progress p set checkpoint = save_job_checkpoint.checkpoint, updated_at = clock_timestamp()
  where p.job_id = save_job_checkpoint.job_id;
end $$;

-- The run of this attempt has been completed in the ledger.
create function mds.end_job_attempt(job_id uuid, attempt int4) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  update store.job_progress p set run_open = false, updated_at = clock_timestamp()
  where p.job_id = end_job_attempt.job_id and p.attempt = end_job_attempt.attempt
$$;

-- Jobs, the newest first; a null filter means any. `state` is the queue's own word.
create function mds.read_jobs(only_id uuid, only_name text, only_state text, max_rows int4)
returns table (
  id uuid, name text, state text, tenant_id uuid, input jsonb, output jsonb, attempts int4, max_attempts int4,
  has_progress boolean, rows_written int8, rows_failed int8, message text, run_id uuid,
  created_at timestamptz, started_at timestamptz, completed_at timestamptz, heartbeat_at timestamptz
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
begin
  if to_regclass('pgboss.job') is null then
    return;
  end if;
  return query
    select j.id, j.name, j.state::text, coalesce((j.data ->> 'tenant_id')::uuid, p.tenant_id), j.data -> 'input', j.output,
      case when j.started_on is null then 0 else j.retry_count + 1 end, j.retry_limit + 1,
      p.job_id is not null, p.rows_written, p.rows_failed, p.message, p.run_id,
      j.created_on, j.started_on, j.completed_on, j.heartbeat_on
    from pgboss.job j
    left join store.job_progress p on p.job_id = j.id
    where j.name = any (select q.name from pgboss.queue q where q.name !~ '^__pgboss__')
      and (only_id is null or j.id = only_id)
      and (only_name is null or j.name = only_name)
      and (only_state is null or j.state::text = only_state)
    order by j.created_on desc, j.id
    limit max_rows;
end $$;

-- Names of those jobs of which one could begin now.
create function mds.ready_jobs() returns setof text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  if to_regclass('pgboss.job') is null then
    return;
  end if;
  return query
    select q.name from pgboss.queue q
    where exists (
        select from pgboss.job j
        where j.name = q.name and j.state < 'active' and not j.blocked and j.start_after <= now()
      )
      and not exists (select from pgboss.job j where j.name = q.name and j.state = 'active');
end $$;

-- How many jobs of a name wait; counting ends at the bound.
create function mds.count_waiting_jobs(only_name text, at_most int4) returns int4
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  if to_regclass('pgboss.job') is null then
    return 0;
  end if;
  return (
    select count(*) from (
      select from pgboss.job j where j.name = only_name and j.state < 'active' limit at_most
    ) w
  );
end $$;

-- Runs that nobody will complete: their jobs have ended, and they were not heard of for so long.
create function mds.abandoned_job_runs(silence interval)
returns table (job_id uuid, attempt int4, run_id uuid, tenant_id uuid, state text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  if to_regclass('pgboss.job') is null then
    return;
  end if;
  return query
    select p.job_id, p.attempt, p.run_id, p.tenant_id, j.state::text
    from store.job_progress p
    left join pgboss.job j on j.name = p.job_name and j.id = p.job_id
    where p.run_open and p.updated_at < now() - silence and (j.id is null or j.state > 'active')
      and not exists (
        select from store.job_runs r
        where r.scope = coalesce(p.tenant_id, '00000000-0000-0000-0000-000000000000') and r.run_id = p.run_id
          and r.status = 'running' and r.heartbeat_at >= now() - silence
      );
end $$;

-- Deletes the progress of jobs that the queue has deleted; how many it were.
create function mds.prune_job_progress() returns int8
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  pruned int8;
begin
  if to_regclass('pgboss.job') is null then
    return 0;
  end if;
  delete from store.job_progress p
  where not p.run_open and not exists (select from pgboss.job j where j.name = p.job_name and j.id = p.job_id);
  get diagnostics pruned = row_count;
  return pruned;
end $$;

-- By job: how many wait, for how long the oldest that could begin has waited, how many run, how many have failed and are
-- still kept. A function, because the queue's tables are not there yet when this migration runs.
create function mds.read_job_queue_health()
returns table (job_name text, depth int8, oldest_age interval, active int8, failed int8)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  if to_regclass('pgboss.job') is null then
    return;
  end if;
  return query
    select q.name, count(j.id) filter (where j.state < 'active'),
      max(now() - greatest(j.created_on, j.start_after)) filter (where j.state < 'active' and j.start_after <= now()),
      count(j.id) filter (where j.state = 'active'), count(j.id) filter (where j.state = 'failed')
    from pgboss.queue q
    left join pgboss.job j on j.name = q.name and j.state in ('created', 'retry', 'active', 'failed')
    where q.name !~ '^__pgboss__'
    group by q.name
    order by q.name collate "C";
end $$;

create view mds.job_queue_health as
select h.job_name, h.depth, h.oldest_age, h.active, h.failed from mds.read_job_queue_health() h;

revoke execute on function mds.begin_job_attempt, store.require_attempt, mds.save_job_progress, mds.save_job_checkpoint,
  mds.end_job_attempt, mds.read_jobs, mds.ready_jobs, mds.count_waiting_jobs, mds.abandoned_job_runs,
  mds.prune_job_progress, mds.read_job_queue_health from public;
grant execute on function mds.begin_job_attempt, mds.save_job_progress, mds.save_job_checkpoint, mds.end_job_attempt,
  mds.read_jobs, mds.ready_jobs, mds.count_waiting_jobs, mds.abandoned_job_runs, mds.prune_job_progress,
  mds.read_job_queue_health to mds_admin;
grant select on mds.job_queue_health to mds_admin;

-- migrate:down
drop view mds.job_queue_health;
drop function mds.read_job_queue_health();
drop function mds.prune_job_progress();
drop function mds.abandoned_job_runs(interval);
drop function mds.count_waiting_jobs(text, int4);
drop function mds.ready_jobs();
drop function mds.read_jobs(uuid, text, text, int4);
drop function mds.end_job_attempt(uuid, int4);
drop function mds.save_job_checkpoint(uuid, int4, jsonb);
drop function mds.save_job_progress(uuid, int4, int8, int8, text);
drop function store.require_attempt(uuid, int4);
drop function mds.begin_job_attempt(uuid, text, int4, uuid, uuid);
drop table store.job_progress;
