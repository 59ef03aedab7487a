-- Ingest tokens and idempotency keys. Runs as mds_owner.
-- migrate:up
-- A token is kept as its SHA-256 alone; it is 256 random bits, so that nothing slower is needed.
create table store.ingest_tokens (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references store.tenants (id) on delete cascade,
  token_sha256 bytea not null unique constraint token_sha256_length check (octet_length(token_sha256) = 32),
  name text not null constraint token_name_text check (char_length(name) between 1 and 200 and name !~ '[[:cntrl:]]'),
  created_at timestamptz not null default now(),
  revoked_at timestamptz
);
create index ingest_tokens_tenant on store.ingest_tokens (tenant_id, created_at desc, id);

-- Who asked for a job under a key gets that job for 24 hours. The body is kept as its SHA-256 alone.
create table store.idempotency_keys (
  principal text not null,
  route text not null,
  key text not null,
  body_sha256 bytea not null constraint body_sha256_length check (octet_length(body_sha256) = 32),
  job_id uuid not null,
  claimed_at timestamptz not null default now(),
  primary key (principal, route, key),
  constraint principal_length check (char_length(principal) between 1 and 64),
  constraint route_length check (char_length(route) between 1 and 400),
  constraint key_form check (key ~ '^[!-~]{1,255}$')
);
create index idempotency_keys_claimed on store.idempotency_keys (claimed_at);

-- What tenants store must not show in the planner's estimates, so statistics are kept of ids only.
alter table store.ingest_tokens
  alter column id set statistics 0,
  alter column token_sha256 set statistics 0,
  alter column name set statistics 0,
  alter column created_at set statistics 0,
  alter column revoked_at set statistics 0;
alter table store.idempotency_keys
  alter column principal set statistics 0,
  alter column route set statistics 0,
  alter column key set statistics 0,
  alter column body_sha256 set statistics 0,
  alter column job_id set statistics 0,
  alter column claimed_at set statistics 0;

-- No row when there is no such tenant, or when it is being deleted.
create function mds.create_ingest_token(slug_or_id text, token_sha256 bytea, token_name text)
returns table (id uuid, name text, created_at timestamptz, revoked_at timestamptz)
language sql security definer set search_path = pg_catalog, pg_temp as $$
  insert into store.ingest_tokens (tenant_id, token_sha256, name)
  select t.id, create_ingest_token.token_sha256, token_name from store.tenants t
  where slug_or_id in (t.slug, t.id::text) and t.state = 'active'
  returning id, name, created_at, revoked_at
$$;

-- The newest first, revoked ones too, at most 1,000.
create function mds.list_ingest_tokens(slug_or_id text)
returns table (id uuid, name text, created_at timestamptz, revoked_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select i.id, i.name, i.created_at, i.revoked_at
  from store.ingest_tokens i join store.tenants t on t.id = i.tenant_id
  where slug_or_id in (t.slug, t.id::text)
  order by i.created_at desc, i.id limit 1000
$$;

-- True when the tenant has the token; one that was revoked keeps its time.
create function mds.revoke_ingest_token(slug_or_id text, token_id uuid) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update store.ingest_tokens i set revoked_at = coalesce(i.revoked_at, now())
  from store.tenants t
  where t.id = i.tenant_id and slug_or_id in (t.slug, t.id::text) and i.id = token_id;
  return found;
end $$;

-- Whose token this is: the tenant's id, or null for one that was revoked, that never was, or whose tenant is no more.
create function mds.find_token_tenant(token_sha256 bytea) returns uuid
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select t.id from store.ingest_tokens i join store.tenants t on t.id = i.tenant_id
  where i.token_sha256 = find_token_tenant.token_sha256 and i.revoked_at is null and t.state = 'active'
$$;

-- The job of a key, and whether it was asked for with the same body. The first claim keeps its own job id, and everybody
-- after it gets that one, however many ask at once. Keys older than 24 hours count as new; some of them are removed.
create function mds.claim_idempotency_key(principal text, route text, key text, body_sha256 bytea, new_job_id uuid)
returns table (job_id uuid, is_same_body boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  expired_before timestamptz := now() - interval '24 hours';
begin
  insert into store.idempotency_keys as k (principal, route, key, body_sha256, job_id)
  values (principal, route, key, body_sha256, new_job_id)
  on conflict on constraint idempotency_keys_pkey
  do update set body_sha256 = excluded.body_sha256, job_id = excluded.job_id, claimed_at = excluded.claimed_at
  where k.claimed_at < expired_before;
  -- After the insert, and without waiting for rows of others: two callers cannot wait for each other.
  delete from store.idempotency_keys d using (
    select o.principal, o.route, o.key from store.idempotency_keys o
    where o.claimed_at < expired_before order by o.claimed_at limit 100 for update skip locked
  ) as old
  where d.principal = old.principal and d.route = old.route and d.key = old.key;
  return query
    select k.job_id, k.body_sha256 = claim_idempotency_key.body_sha256 from store.idempotency_keys k
    where k.principal = claim_idempotency_key.principal and k.route = claim_idempotency_key.route
      and k.key = claim_idempotency_key.key;
end $$;

revoke execute on function mds.create_ingest_token, mds.list_ingest_tokens, mds.revoke_ingest_token, mds.find_token_tenant,
  mds.claim_idempotency_key from public;
grant execute on function mds.create_ingest_token, mds.list_ingest_tokens, mds.revoke_ingest_token,
  mds.claim_idempotency_key to mds_admin;
grant execute on function mds.find_token_tenant to mds_app;

-- migrate:down
drop function mds.claim_idempotency_key(text, text, text, bytea, uuid);
drop function mds.find_token_tenant(bytea);
drop function mds.revoke_ingest_token(text, uuid);
drop function mds.list_ingest_tokens(text);
drop function mds.create_ingest_token(text, bytea, text);
drop table store.idempotency_keys;
drop table store.ingest_tokens;
