/** Dumps at library level: all files of one moment, all of them or none. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { bars } from "../../src/datasets/bars.ts";
import { signals } from "../../src/datasets/signals.ts";
import { StoreError } from "../../src/errors/store-error.ts";
import { type DumpPlan, dumpFiles, type PageSource } from "../../src/files/dump-files.ts";
import { manyBars } from "../support/bars.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let store: Store;
let folder: string;

beforeAll(async () => {
  database = await createTestDatabase();
  store = await openStore({ url: database.url });
  await store.bars.upsert(manyBars(25_000));
  await store.signals.upsert([signal(0)]);
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mds-dump-"));
  return () => rm(folder, { recursive: true });
});

const signal = (at: number) => ({ vendor: "v", symbol: "A", name: "n", ts: BigInt(at), value: at });
const plans = (): DumpPlan[] => [
  { dataset: bars, query: {}, path: join(folder, "bars.ndjson.gz") },
  { dataset: signals, query: {}, path: join(folder, "signals.csv") },
];

it("shows nothing that was written after it began", async () => {
  const snapshot = await store.snapshot();
  let written = 0;
  const writing: Promise<unknown>[] = [];
  const files = await dumpFiles(snapshot, plans(), {
    onProgress: () => void writing.push(store.signals.upsert([signal(++written)])),
  });
  await snapshot.close();
  await Promise.all(writing);
  expect(written).toBeGreaterThan(2);
  expect(files.map(({ dataset, rows }) => [dataset, rows])).toEqual([
    ["bars", 25_000],
    ["signals", 1],
  ]);
  expect((await readFile(join(folder, "signals.csv"), "utf8")).split("\n")).toHaveLength(3);
});

it("makes no file where one of them cannot be written whole", async () => {
  const snapshot = await store.snapshot();
  await writeFile(join(folder, "bars.ndjson.gz"), "old");
  const failing: PageSource = {
    async *readPages(dataset, query, options) {
      yield* snapshot.readPages(dataset, query, options);
      if (dataset === signals) throw new StoreError("database_error", "Broken.");
    },
  };
  await expect(dumpFiles(failing, plans())).rejects.toMatchObject({ code: "database_error" });
  expect(await readdir(folder)).toEqual(["bars.ndjson.gz"]);
  expect(await readFile(join(folder, "bars.ndjson.gz"), "utf8")).toBe("old");
  // The failure has left the snapshot usable.
  expect(await dumpFiles(snapshot, plans())).toHaveLength(2);
  await snapshot.close();
});

it("stops when it is told to", async () => {
  const snapshot = await store.snapshot();
  const stopping = new AbortController();
  const stopped = dumpFiles(snapshot, plans(), { signal: stopping.signal, onProgress: () => stopping.abort() });
  await expect(stopped).rejects.toMatchObject({ code: "aborted" });
  await snapshot.close();
  expect(await readdir(folder)).toEqual([]);
});
