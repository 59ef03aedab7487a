-- Differences between the store's contracts and the schema registry's, as services have found them, so that each is told
-- once by all replicas together and not again after a restart. Runs as mds_owner.
-- migrate:up
create table store.drift_state (
  schema_name text not null constraint schema_name_form check (schema_name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$'),
  track text not null constraint track_form check (track ~ '^v[1-9][0-9]{0,2}$'),
  -- Replicas of different versions have different contracts, each with a difference of its own.
  local_sha256 text not null constraint local_sha256_form check (local_sha256 ~ '^[0-9a-f]{64}$'),
  local_version text not null constraint local_version_length check (char_length(local_version) between 1 and 64),
  registry_sha256 text not null constraint registry_sha256_form check (registry_sha256 ~ '^[0-9a-f]{64}$'),
  registry_version text not null constraint registry_version_length check (char_length(registry_version) between 1 and 64),
  change text not null constraint change_known check (change in ('breaking', 'compatible', 'documentation')),
  first_seen_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  primary key (schema_name, track, local_sha256)
);

-- Keeps a difference that was found; true for who finds it first, however many find it at once. Differences that nobody
-- has found for a week belonged to services that are gone.
create function mds.note_drift(
  schema_name text, track text, local_sha256 text, local_version text, registry_sha256 text, registry_version text, change text
) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  is_new boolean;
begin
  insert into store.drift_state as d (schema_name, track, local_sha256, local_version, registry_sha256, registry_version, change)
  values (
    note_drift.schema_name, note_drift.track, note_drift.local_sha256, note_drift.local_version,
    note_drift.registry_sha256, note_drift.registry_version, note_drift.change
  )
  on conflict on constraint drift_state_pkey do update set
    registry_sha256 = excluded.registry_sha256, registry_version = excluded.registry_version, change = excluded.change,
    first_seen_at = excluded.first_seen_at, last_seen_at = excluded.last_seen_at
  where d.registry_sha256 <> excluded.registry_sha256;
  is_new := found;
  if not is_new then
    update store.drift_state d set last_seen_at = now()
    where d.schema_name = note_drift.schema_name and d.track = note_drift.track and d.local_sha256 = note_drift.local_sha256;
  end if;
  delete from store.drift_state d using (
    select o.schema_name, o.track, o.local_sha256 from store.drift_state o
    where o.last_seen_at < now() - interval '7 days' for update skip locked
  ) as gone
  where (d.schema_name, d.track, d.local_sha256) = (gone.schema_name, gone.track, gone.local_sha256);
  return is_new;
end $$;

-- A difference is over. True when there was one.
create function mds.clear_drift(schema_name text, track text, local_sha256 text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  delete from store.drift_state d
  where d.schema_name = clear_drift.schema_name and d.track = clear_drift.track and d.local_sha256 = clear_drift.local_sha256;
  return found;
end $$;

create function mds.list_drift() returns table (
  schema_name text, track text, local_sha256 text, local_version text, registry_sha256 text, registry_version text,
  change text, first_seen_at timestamptz, last_seen_at timestamptz
)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select d.schema_name, d.track, d.local_sha256, d.local_version, d.registry_sha256, d.registry_version, d.change,
    d.first_seen_at, d.last_seen_at
  from store.drift_state d order by d.schema_name collate "C", d.track, d.first_seen_at
$$;

revoke execute on function mds.note_drift, mds.clear_drift, mds.list_drift from public;
grant execute on function mds.note_drift, mds.clear_drift, mds.list_drift to mds_admin;

-- migrate:down
drop function mds.list_drift();
drop function mds.clear_drift(text, text, text);
drop function mds.note_drift(text, text, text, text, text, text, text);
drop table store.drift_state;
