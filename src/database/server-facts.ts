/** Small questions to a server, each over a connection of its own. */
import { withDeadline } from "../resilience/with-deadline.ts";
import { openConnection } from "./pool.ts";
import { toStoreError } from "./sqlstate.ts";

const CONNECT_TIMEOUT_MS = 5_000;
const ANSWER_TIMEOUT_MS = 5_000;
const APPLICATION_NAME = "mds";

/** How many sessions of this database have an application name that begins with `name` and a blank. */
export async function countSessions(adminUrl: string, name: string): Promise<number> {
  const [row] = await ask<{ sessions: number }>(
    adminUrl,
    `select count(*)::int4 as sessions from pg_stat_activity
     where datname = current_database() and starts_with(application_name, $1 || ' ')`,
    [name],
  );
  return row!.sessions;
}

/** Whether a session of this database has this application name. */
export async function hasSession(url: string, name: string): Promise<boolean> {
  const [row] = await ask<{ there: boolean }>(
    url,
    `select exists (
       select from pg_stat_activity where datname = current_database() and application_name = $1
     ) as there`,
    [name],
  );
  return row!.there;
}

/** Whether the login of this URL is a superuser. */
export async function isSuperuser(url: string): Promise<boolean> {
  const [row] = await ask<{ superuser: boolean }>(
    url,
    "select rolsuper as superuser from pg_roles where rolname = session_user",
    [],
  );
  return row?.superuser === true;
}

/** The server's version, e.g. `18.4`. */
export async function serverVersion(url: string): Promise<string> {
  const [row] = await ask<{ version: string }>(
    url,
    "select split_part(current_setting('server_version'), ' ', 1) as version",
    [],
  );
  return row!.version;
}

async function ask<Row extends object>(url: string, text: string, values: readonly unknown[]): Promise<Row[]> {
  try {
    const client = await openConnection(url, APPLICATION_NAME, CONNECT_TIMEOUT_MS);
    try {
      const { rows } = await withDeadline(ANSWER_TIMEOUT_MS, () => client.query<Row>(text, [...values]));
      return rows;
    } finally {
      await client.end();
    }
  } catch (error) {
    throw toStoreError(error);
  }
}
