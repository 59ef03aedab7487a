import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mds, scratchFolder } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  [database, scratch] = await Promise.all([createTestDatabase(), scratchFolder()]);
});

afterAll(async () => {
  await Promise.all([database.drop(), scratch.remove()]);
});

describe("mds doctor", () => {
  it("finds nothing wrong with an embedded database that it has set up itself", async () => {
    const embedded = { cwd: scratch.path, env: { LOG_LEVEL: "silent" } };
    const before = await mds(["doctor"], embedded);
    expect([before.code, before.stdout]).toEqual([1, expect.stringContaining("migration_pending")]);
    const fixed = await mds(["doctor", "--fix"], embedded);
    expect(fixed.stdout).toMatch(
      /^mended {3}role_missing: .*\nmended {3}migration_pending: Applied \d+ migrations\.\n/,
    );
    expect(fixed.stdout).not.toContain("partition_missing");
    // No service has run yet; a warning alone is no failure.
    expect(fixed.stdout).toMatch(/\nwarning {2}jobs_never_ran: .*\n {9}Start the service .*\n$/);
    expect(fixed.stdout).not.toContain("error");
    expect(fixed.code).toBe(0);
  });

  it("misses no partition of a database that `mds migrate` has just made", async () => {
    const empty = await createTestDatabase({ empty: true });
    const env = { MDS_DSN: empty.url, ADMIN_DATABASE_URL: empty.adminUrl };
    expect(await mds(["migrate"], { env })).toMatchObject({ code: 0 });
    const { stdout } = await mds(["doctor", "--json"], { env });
    const { findings } = JSON.parse(stdout) as { readonly findings: readonly { readonly code: string }[] };
    expect(findings.map(({ code }) => code)).toContain("jobs_never_ran");
    expect(findings.map(({ code }) => code)).not.toContain("partition_missing");
    await empty.drop();
  });

  it("prints JSON and ends with 1 where there is an error", async () => {
    const env = { MDS_DSN: database.url, ADMIN_DATABASE_URL: database.adminUrl };
    const { code, stdout } = await mds(["doctor", "--json"], { env });
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      findings: expect.arrayContaining([
        expect.objectContaining({ code: "fsync_off", severity: "error", fixable: false }),
        expect.objectContaining({ code: "partition_missing", severity: "warning", fixable: true }),
      ]),
      mended: [],
    });
  });
});
