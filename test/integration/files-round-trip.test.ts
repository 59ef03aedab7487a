import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import type { DatasetName } from "../../src/datasets/registry.ts";
import { readRecords } from "../../src/files/read-records.ts";
import { writerOf } from "../../src/files/text-form.ts";
import { ROWS } from "../support/hostile-rows.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let store: Store;
let folder: string;

beforeAll(async () => {
  database = await createTestDatabase();
  store = await openStore({ url: database.url });
  folder = await mkdtemp(join(tmpdir(), "mds-round-trip-"));
});

afterAll(async () => {
  await store.close();
  await database.drop();
  await rm(folder, { recursive: true });
});

async function dump(name: DatasetName, vendor: string, form: "csv" | "ndjson"): Promise<string> {
  const { head, lines } = writerOf(form, store[name].dataset);
  let text = String(head);
  for await (const page of store.dataset(name).readPages({ vendor })) text += String(lines(page));
  return text;
}

async function restore(name: DatasetName, text: string): Promise<number> {
  const path = join(folder, "dump");
  await writeFile(path, text);
  let rejected = 0;
  async function* rows() {
    for await (const batch of readRecords(path, store[name].dataset)) {
      rejected += batch.rejects.length;
      yield batch.rows;
    }
  }
  const result = await store[name].upsert(rows() as never);
  expect(result.rejections).toEqual([]);
  return rejected;
}

it.each(Object.keys(ROWS) as DatasetName[])(
  "R19 %s: dump, restore, dump gives identical bytes in both formats",
  async (name) => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(ROWS[name], { maxLength: 15 }), async (rows) => {
        const vendor = `${name}-${run++}`;
        const given = rows.map((row) => ({ vendor, ...row }));
        const result = await store[name].upsert(given as never);
        expect(result.rejections).toEqual([]);
        const csv = await dump(name, vendor, "csv");
        const ndjson = await dump(name, vendor, "ndjson");
        await database.sql(`delete from store.${name}_data`);
        expect(await restore(name, csv)).toBe(0);
        expect(await dump(name, vendor, "csv")).toBe(csv);
        expect(await dump(name, vendor, "ndjson")).toBe(ndjson);
        await database.sql(`delete from store.${name}_data`);
        expect(await restore(name, ndjson)).toBe(0);
        expect(await dump(name, vendor, "ndjson")).toBe(ndjson);
      }),
      { numRuns: 25 },
    );
  },
);
