/** Ingest tokens in the database: whose they are, and for how long. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  createIngestToken,
  findTokenTenant,
  listIngestTokens,
  revokeIngestToken,
} from "../../src/database/ingest-tokens.ts";
import { openPool, type Pool } from "../../src/database/pool.ts";
import { createTenant } from "../../src/database/tenants.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let pool: Pool;
const scope = () => ({ pool, timeoutMs: 5_000 });

beforeAll(async () => {
  database = await createTestDatabase();
  pool = openPool({ url: database.url, applicationName: "test", maxConnections: 4, connectTimeoutMs: 5_000 });
});

afterAll(async () => {
  await pool.end();
  await database.drop();
});

describe("ingest tokens", () => {
  it("name their tenant until they are revoked", async () => {
    const tenant = await createTenant(scope(), { slug: "feeds", name: "Feeds" });
    const first = await createIngestToken(scope(), "feeds", "first");
    const second = await createIngestToken(scope(), tenant.id, "second");
    expect(await findTokenTenant(scope(), first.token)).toBe(tenant.id);
    expect((await listIngestTokens(scope(), "feeds")).map(({ name }) => name)).toEqual(["second", "first"]);
    await revokeIngestToken(scope(), "feeds", first.id);
    expect(await findTokenTenant(scope(), first.token)).toBeUndefined();
    expect(await findTokenTenant(scope(), second.token)).toBe(tenant.id);
    const [revoked] = (await listIngestTokens(scope(), "feeds")).filter(({ id }) => id === first.id);
    await revokeIngestToken(scope(), "feeds", first.id);
    expect(await listIngestTokens(scope(), "feeds")).toContainEqual(revoked);
  });

  it("are nobody's once their tenant is being deleted, and go with it", async () => {
    const { id } = await createTenant(scope(), { slug: "leaving", name: "Leaving" });
    const { token } = await createIngestToken(scope(), "leaving", "feed");
    await database.sql("update store.tenants set state = 'deleting' where id = $1", [id]);
    expect(await findTokenTenant(scope(), token)).toBeUndefined();
    await expect(createIngestToken(scope(), "leaving", "another")).rejects.toMatchObject({ code: "tenant_unknown" });
    await database.sql("delete from store.tenants where id = $1", [id]);
    expect(await database.sql("select from store.ingest_tokens where tenant_id = $1", [id])).toEqual([]);
  });

  it("are kept as hashes alone", async () => {
    const { token, id } = await createIngestToken(scope(), "default", "hashed");
    const [row] = await database.sql<{ row: string; same: boolean }>(
      "select i::text as row, token_sha256 = sha256($2::text::bytea) as same from store.ingest_tokens i where id = $1",
      [id, token],
    );
    expect(row).toEqual({ row: expect.not.stringContaining(token.slice(4, 24)), same: true });
  });

  it("are refused with a name that is none, for no tenant, and not found by what is none", async () => {
    await expect(createIngestToken(scope(), "default", "")).rejects.toMatchObject({ code: "usage" });
    await expect(createIngestToken(scope(), "nobody", "x")).rejects.toMatchObject({ code: "tenant_unknown" });
    await expect(listIngestTokens(scope(), "nobody")).rejects.toMatchObject({ code: "tenant_unknown" });
    await expect(revokeIngestToken(scope(), "default", "seven")).rejects.toMatchObject({ code: "token_unknown" });
    expect(await findTokenTenant(scope(), `mds_${"A".repeat(43)}`)).toBeUndefined();
    expect(await findTokenTenant(scope(), "mds_' or true --")).toBeUndefined();
  });
});
