import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore } from "../../src/client/open-store.ts";
import { manyBars } from "../support/bars.ts";
import { MDS, mds, startProgram } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

/** Gives a program a terminal. */
const SCRIPT = "/usr/bin/script";

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

const command = (...args: string[]) => mds(args, { env: { MDS_DSN: database.url } });

async function makeTenant(slug: string): Promise<void> {
  await command("tenant", "create", slug);
  await using store = await openStore({ url: database.url, tenant: slug });
  await store.bars.upsert(manyBars(10));
}

const slugs = async () =>
  (await database.sql<{ slug: string }>("select slug from store.tenants order by slug")).map(({ slug }) => slug);

describe("mds tenant delete", () => {
  it("deletes with --yes, and says how much it was", async () => {
    await makeTenant("acme");
    const { code, stdout, stderr } = await command("tenant", "delete", "acme", "--yes", "--json");
    expect([code, stderr]).toEqual([0, expect.stringMatching(/The tenant "acme" is deleted, with 1\d rows\.\n$/)]);
    expect(JSON.parse(stdout)).toMatchObject({ slug: "acme", tenant_id: expect.any(String) });
    expect(await slugs()).toEqual(["default"]);
  });

  it("wants --yes where nobody can be asked", async () => {
    await makeTenant("kept");
    const { code, stderr } = await command("tenant", "delete", "kept");
    expect([code, stderr]).toEqual([2, expect.stringMatching(/add --yes to do it\. \(usage\)\n$/)]);
    expect(await slugs()).toContain("kept");
  });

  it("says when there is no such tenant, and keeps the default one", async () => {
    expect(await command("tenant", "delete", "nobody", "--yes")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("(tenant_unknown)"),
    });
    expect(await command("tenant", "delete", "default", "--yes")).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/rename it first if it is to go\. \(tenant_protected\)/),
    });
    expect(await slugs()).toContain("default");
  });

  describe.skipIf(!existsSync(SCRIPT))("on a terminal", () => {
    const type = async (slug: string, word: string): Promise<string> => {
      const line = `${process.execPath} ${MDS} tenant delete ${slug}`;
      const running = startProgram(SCRIPT, ["-qec", line, "/dev/null"], { env: { MDS_DSN: database.url } });
      await expect.poll(() => running.output.stdout, { timeout: 20_000 }).toContain("Type its slug to go on: ");
      running.child.stdin.write(word);
      const { code, stdout } = await running.done;
      return `${code} ${stdout}`;
    };

    it("asks for the slug", async () => {
      await makeTenant("typed");
      expect(await type("typed", "type\n")).toMatch(/^1 [\s\S]*That is not the slug; the tenant "typed" stays/);
      expect(await slugs()).toContain("typed");
      expect(await type("typed", "\u0004")).toMatch(/^1 [\s\S]*stays/);
      expect(await type("typed", "\u0003")).toMatch(/^130 /);
      expect(await slugs()).toContain("typed");
      expect(await type("typed", "typed\n")).toMatch(/^0 [\s\S]*The tenant "typed" is deleted/);
      expect(await slugs()).not.toContain("typed");
    });
  });
});
