/** `mds dlq`: what could not be stored, its way back into the database, and its end. */
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import type { DeadLetter } from "../../src/coordinator/dead-letters/dead-letter.ts";
import { DeadLetterWriter } from "../../src/coordinator/dead-letters/dead-letter-writer.ts";
import { bar, collect } from "../support/bars.ts";
import { type CommandResult, mds, scratchFolder, startMds } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let store: Store;
let other: Store;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let folder: string;
let lives = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  await database.sql("select mds.create_tenant('other', 'other')");
  store = await openStore({ url: database.url });
  other = await openStore({ url: database.url, tenant: "other" });
  scratch = await scratchFolder();
});
afterAll(async () => {
  await Promise.all([store.close(), other.close()]);
  await database.drop();
  await scratch.remove();
});
beforeEach(() => {
  folder = join(scratch.path, `${++lives}`);
});

const environment = () => ({ MDS_DSN: database.url, MDS_DLQ_DIR: folder });
const dlq = (...args: string[]): Promise<CommandResult> => mds(["dlq", ...args], { env: environment() });

async function keep(...letters: Partial<DeadLetter>[]): Promise<void> {
  const writer = new DeadLetterWriter({ folder });
  await writer.append(
    letters.map((fields) => ({
      acceptedAt: Date.UTC(2024, 0, 2),
      tenantId: store.tenantId,
      dataset: "bars",
      code: "database_error",
      error: "It failed with password=hunter2.\n\u001b[31m",
      attempts: 5,
      metadata: { coordinator: "test" },
      row: bar(0),
      ...fields,
    })),
  );
  await writer.close();
}

const volumes = async (of: Store, symbol: string): Promise<number[]> =>
  (await collect(of.bars.read({ symbol }))).map(({ volume }) => volume);
const listed = async (...args: string[]): Promise<{ id: string; row: { volume: number } }[]> =>
  JSON.parse((await dlq("list", "--json", ...args)).stdout) as never;

describe("R24 mds dlq", () => {
  it("lists and shows letters, filtered, without a database for what needs none", async () => {
    await keep({}, { dataset: "news", code: "nul_in_text" }, { tenantId: other.tenantId, row: bar(1) });
    const table = await dlq("list");
    expect(table.code).toBe(0);
    expect(table.stdout.split("\n")[0]).toMatch(/^id +ts +tenant_id +dataset +code +attempts +error$/);
    expect(table.stdout).toMatch(
      /^[0-9a-f]{12} +20\S+Z +\S+ +bars +database_error +5 +It failed with password=\*\*\*/m,
    );
    for (const hidden of ["hunter2", "\u001b"]) expect(table.stdout).not.toContain(hidden);
    expect(table.stderr).toContain("3 of 3 dead letters shown.");
    expect(await listed("--dataset", "news")).toMatchObject([{ code: "nul_in_text" }]);
    expect(await listed("--code", "database_error")).toHaveLength(2);
    expect(await listed("--tenant", "other")).toMatchObject([{ tenant_id: other.tenantId }]);
    expect(await listed("--limit", "1")).toMatchObject([{ tenant_id: other.tenantId }]);

    const [first] = await listed();
    const shown = await mds(["dlq", "show", first!.id], {
      env: { MDS_DLQ_DIR: folder, MDS_DSN: "postgres://x@127.0.0.1:1/x" },
    });
    expect(JSON.parse(shown.stdout)).toMatchObject({
      id: first!.id,
      accepted_at: "2024-01-02T00:00:00.000Z",
      attempts: 5,
      metadata: { coordinator: "test" },
      row: { symbol: "AAA", ts: { $bigint: expect.any(String) } },
    });
    expect(await dlq("show", "ffff")).toMatchObject({ code: 1, stderr: expect.stringContaining("(not_found)") });
  });

  it("replays into each letter's tenant, removes what is stored, and keeps what is not with its reason", async () => {
    await store.bars.upsert([bar(1, { symbol: "BACK", volume: 11 })]);
    await keep(
      { row: bar(0, { symbol: "BACK", volume: 10 }) },
      { row: bar(1, { symbol: "BACK", volume: 10 }) },
      { row: bar(0, { symbol: "BACK", volume: 20 }), tenantId: other.tenantId },
      { row: { ...bar(2, { symbol: "BACK" }), low_price: 1e9 }, code: "bar_impossible" },
      { row: bar(3, { symbol: "BACK" }), tenantId: "7f0e0000-0000-4000-8000-000000000009" },
    );
    const replayed = await dlq("replay", "--json");
    expect(JSON.parse(replayed.stdout)).toMatchObject({ replayed: 2, kept: 3 });
    expect(replayed.code).toBe(3);
    for (const code of ["key_present", "bar_impossible", "tenant_unknown"]) expect(replayed.stderr).toContain(code);
    expect(await volumes(store, "BACK")).toEqual([10, 11]);
    expect(await volumes(other, "BACK")).toEqual([20]);
    expect(await listed()).toHaveLength(3);

    expect(await dlq("replay", "--force", "--code", "database_error", "--tenant", "default")).toMatchObject({
      code: 0,
      stdout: "Replayed 1 dead letter; kept 0.\n",
    });
    expect(await volumes(store, "BACK")).toEqual([10, 10]);
    expect(await listed()).toHaveLength(2);
  });

  it("lets the newest of several letters of one key win", async () => {
    for (const volume of [1, 2, 3]) await keep({ row: bar(0, { symbol: "ORDER", volume }) });
    await dlq("replay");
    expect(await volumes(store, "ORDER")).toEqual([3]);
    for (const volume of [4, 5]) await keep({ row: bar(0, { symbol: "ORDER", volume }) });
    await dlq("replay", "--force");
    expect(await volumes(store, "ORDER")).toEqual([5]);
    expect(await listed()).toEqual([]);
  });

  it("keeps every letter when the database is away", async () => {
    await keep({ row: bar(0, { symbol: "AWAY" }) });
    const failed = await mds(["dlq", "replay"], {
      env: { MDS_DLQ_DIR: folder, MDS_DSN: "postgres://nobody@127.0.0.1:1/nothing" },
    });
    expect(failed.code).toBe(1);
    expect(await listed()).toHaveLength(1);
  });

  it("killed in the middle it leaves only what can be replayed again", async () => {
    const rows = Array.from({ length: 12_000 }, (_, at) => ({ row: bar(at, { symbol: "KILLED" }) }));
    await keep(...rows);
    const running = startMds(["dlq", "replay"], { env: environment() });
    await expect
      .poll(() => volumes(store, "KILLED").then(({ length }) => length), { timeout: 20_000 })
      .toBeGreaterThan(0);
    running.child.kill("SIGKILL");
    await running.done;
    const left = await listed("--limit", "100000");
    const stored = new Set((await collect(store.bars.read({ symbol: "KILLED" }))).map(({ volume }) => volume));
    for (const { row } of left) stored.add(row.volume);
    expect(stored.size).toBe(12_000);
    expect((await dlq("replay")).code).toBe(0);
    expect((await volumes(store, "KILLED")).length).toBe(12_000);
    expect(await listed()).toEqual([]);
  });

  it("deletes only when told so, and only what is meant", async () => {
    await keep({}, { code: "nul_in_text" }, { dataset: "news" });
    const asked = await dlq("purge", "--dataset", "bars");
    expect(asked).toMatchObject({ code: 2, stderr: expect.stringContaining("would delete 2 dead letters") });
    expect(await listed()).toHaveLength(3);
    expect(await dlq("purge", "--dataset", "bars", "--yes")).toMatchObject({ stdout: "Deleted 2 dead letters.\n" });
    expect(await listed()).toMatchObject([{ dataset: "news" }]);
    expect(JSON.parse((await dlq("purge", "--yes", "--json")).stdout)).toEqual({ purged: 1 });
    expect(await listed()).toEqual([]);
  });

  it("says what is wrong with a filter, and takes an empty folder for what it is", async () => {
    expect(await dlq("list", "--dataset", "nope")).toMatchObject({ code: 2 });
    expect(await dlq("list", "--tenant", "nobody")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("tenant_unknown"),
    });
    expect(await dlq("list")).toMatchObject({ code: 0, stdout: "", stderr: expect.stringContaining("0 of 0") });
    expect(await dlq("replay")).toMatchObject({ code: 0, stdout: "Replayed 0 dead letters; kept 0.\n" });
    expect(await dlq("purge", "--yes")).toMatchObject({ code: 0 });
  });
});
