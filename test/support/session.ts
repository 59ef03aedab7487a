/** Statements as the service's login would send them by hand. */
import pg from "pg";
import type { TestDatabase } from "./test-database.ts";

/** One statement under a role, with a tenant set; its rows, or its SQLSTATE. */
export async function runByHand(
  database: TestDatabase,
  tenant: string,
  statement: string,
  role: "mds_app" | "mds_admin" | "none" = "mds_app",
): Promise<unknown[] | string> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    if (role !== "none") await client.query(`set role ${role}`);
    await client.query("select set_config('app.tenant_id', $1, false)", [tenant]);
    return (await client.query(statement)).rows;
  } catch (error) {
    return (error as { code: string }).code;
  } finally {
    await client.end();
  }
}
