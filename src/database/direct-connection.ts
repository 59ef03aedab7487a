/**
 * A connection to the server itself, for migrations and jobs: they hold locks and settings that a transaction pooler
 * would hand to somebody else.
 */
import { StoreError } from "../errors/store-error.ts";
import { type Connection, openConnection } from "./pool.ts";

/** @throws StoreError `config_invalid` when a pooler is in between; what the driver throws when there is no connection. */
export async function openDirectConnection(
  url: string,
  applicationName: string,
  connectTimeoutMs: number,
): Promise<Connection> {
  const client = await openConnection(url, applicationName, connectTimeoutMs);
  try {
    await refusePooler(client);
    return client;
  } catch (error) {
    await client.end();
    throw error;
  }
}

/** A pooler answers with a key of its own, so that the server's process id is not the one that the client was told. */
async function refusePooler(client: Connection): Promise<void> {
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  if (rows[0]!.pid !== (client as Connection & { processID: number }).processID) {
    throw new StoreError(
      "config_invalid",
      "Migrations and jobs need a direct connection, and this one goes through a pooler; set ADMIN_DATABASE_URL to the server itself.",
    );
  }
}
