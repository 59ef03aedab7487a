/** Tells a connection to the server from one through a pooler, which cannot hold what belongs to a session. */
import type pg from "pg";
import { StoreError } from "../errors/store-error.ts";

/**
 * A pooler answers with a key of its own, so that the server's process id is not the one that the client was told.
 *
 * @throws StoreError `config_invalid` where the connection goes through a pooler.
 */
export async function refusePooler(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  if (rows[0]!.pid !== (client as pg.Client & { processID: number }).processID) {
    throw new StoreError(
      "config_invalid",
      "Migrations and jobs need a direct connection, and this one goes through a pooler; set ADMIN_DATABASE_URL to the server itself.",
    );
  }
}
