/** The engine that a database is recorded to have, ready to work on it. */
import { StoreError } from "../../errors/store-error.ts";
import { withOwner } from "../owner-session.ts";
import { foreignEngine } from "./detect-engine.ts";
import type { Engine } from "./engine.ts";
import { plainEngine } from "./plain.ts";
import { timescaleEngine } from "./timescale.ts";

/**
 * Reads which engine the database has. Nothing stays open.
 *
 * @param adminUrl - direct connection of a login that is a member of mds_owner.
 * @throws StoreError `engine_refused` when this version does not have it, `migration_pending` when none is recorded.
 */
export async function openEngine(adminUrl: string, signal?: AbortSignal): Promise<Engine> {
  const [row] = await withOwner({ adminUrl, signal }, (owner) =>
    owner.query<{ engine: string | null }>("select mds.engine() as engine"),
  );
  const engine = row?.engine;
  if (engine === "plain") return plainEngine(adminUrl);
  if (engine === "timescale") return timescaleEngine(adminUrl);
  if (engine == null) {
    throw new StoreError("migration_pending", "The database has no engine recorded; run `mds migrate`.");
  }
  throw foreignEngine(engine);
}
