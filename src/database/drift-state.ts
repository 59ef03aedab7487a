/** What all services together know of drift: a difference is new once, and over when its finder says so. */
import { runAsRole } from "./session.ts";
import type { AdminScope } from "./tenants.ts";

/** A difference between a contract of a version of the store and the registry's. */
export interface NotedDrift {
  readonly schema_name: string;
  readonly track: string;
  readonly local_sha256: string;
  readonly local_version: string;
  readonly registry_sha256: string;
  readonly registry_version: string;
  readonly change: "breaking" | "compatible" | "documentation";
}

/** A difference with the times between which services found it; ISO 8601, UTC. */
export interface KnownDrift extends NotedDrift {
  readonly first_seen_at: string;
  readonly last_seen_at: string;
}

/** Keeps a difference; true for who finds it first. */
export async function noteDrift(scope: AdminScope, drift: NotedDrift, signal?: AbortSignal): Promise<boolean> {
  const { schema_name, track, local_sha256, local_version, registry_sha256, registry_version, change } = drift;
  const text = "select mds.note_drift($1, $2, $3, $4, $5, $6, $7) as is_new";
  const values = [schema_name, track, local_sha256, local_version, registry_sha256, registry_version, change];
  const [row] = await runAsRole<{ is_new: boolean }>({ ...scope, role: "mds_admin" }, { text, values }, signal);
  return row!.is_new;
}

/** Ends the difference that this contract had, if it had one. */
export async function clearDrift(
  scope: AdminScope,
  { schema_name, track, local_sha256 }: Pick<NotedDrift, "schema_name" | "track" | "local_sha256">,
  signal?: AbortSignal,
): Promise<void> {
  const values = [schema_name, track, local_sha256];
  await runAsRole({ ...scope, role: "mds_admin" }, { text: "select mds.clear_drift($1, $2, $3)", values }, signal);
}

/** All differences that are not over. */
export function listDrift(scope: AdminScope, signal?: AbortSignal): Promise<KnownDrift[]> {
  const text = `select schema_name, track, local_sha256, local_version, registry_sha256, registry_version, change,
      to_char(first_seen_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as first_seen_at,
      to_char(last_seen_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as last_seen_at
    from mds.list_drift()`;
  return runAsRole<KnownDrift>({ ...scope, role: "mds_admin" }, { text, values: [] }, signal);
}
