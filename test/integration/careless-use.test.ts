/** The library as programs without types misuse it: one sentence, and nothing is done that was not meant. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { StoreSnapshot } from "../../src/client/snapshot.ts";
import * as library from "../../src/index.ts";
import { bar, collect } from "../support/bars.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

// As a program without types sees them.
// biome-ignore lint/suspicious/noExplicitAny: that is what is tested
type Untyped = any;
const untyped = library as Untyped;
const URL_AWAY = "postgres://u:p@127.0.0.1:1/db";

/** What a call throws, at once or later. */
async function thrown(call: () => unknown): Promise<unknown> {
  try {
    const result: unknown = await call();
    if (typeof result === "object" && result !== null && Symbol.asyncIterator in result) {
      await collect(result as AsyncIterable<unknown[]>);
    }
  } catch (error) {
    return error;
  }
  return undefined;
}

async function expectUsage(call: () => unknown, message?: RegExp): Promise<void> {
  const error = await thrown(call);
  expect(error).toBeInstanceOf(library.StoreError);
  expect(error).toMatchObject({ code: "usage" });
  if (message !== undefined) expect((error as Error).message).toMatch(message);
}

describe("what is opened", () => {
  const OPENERS = [
    "openStore",
    "openTrustedLoad",
    "createCoordinator",
    "createControlClient",
    "createJobRunner",
    "openPulse",
    "createPulseSubscriber",
    "datasetJsonSchema",
    "timeZone",
  ];
  it.each(OPENERS)("%s refuses what is no object of options, and one with nothing known in it", async (name) => {
    for (const given of [undefined, null, 5, "", [], {}, { tenent: "x" }]) {
      await expectUsage(() => untyped[name](given));
    }
  });

  it.each(["HttpWebhook", "IngestMetrics"])("so does new %s", async (name) => {
    for (const given of [undefined, null, 5, {}]) await expectUsage(() => new untyped[name](given));
  });

  it.each([
    ["openStore", { tenent: "x" }, /^openStore has no "tenent"; it has url, tenant, /],
    ["openStore", { signal: 5 }, /^signal is a number; it must be an AbortSignal/],
    ["openTrustedLoad", { adminUrl: URL_AWAY, maxConnections: 5 }, /^openTrustedLoad has no "maxConnections"; it has/],
    ["createCoordinator", { worker: 5 }, /^createCoordinator has no "worker"; it has/],
    ["createCoordinator", { overflow: "blok" }, /^overflow is "blok"; it must be one of block, drop_oldest, error\.$/],
    ["createCoordinator", { retry: { maxAttempt: 5 } }, /^retry has no "maxAttempt"; it has maxAttempts, /],
    ["createCoordinator", { workers: "5" }, /^workers is "5"; here it must be a whole number/],
    ["createCoordinator", { spool: "folder" }, /^spool needs an object with dir, maxBytes; it was given a string\.$/],
    ["createCoordinator", { spool: {} }, /^spool\.dir is undefined; it must be the path of a folder\.$/],
    ["createCoordinator", { store: {} }, /^store is none that openStore gave;/],
    ["createCoordinator", { url: undefined }, /^url is no PostgreSQL URL;/],
    ["createJobRunner", { jobs: [5] }, /^undefined is no name of a job;/],
    ["createJobRunner", { jobs: {} }, /^jobs is an object; it must be an array of what defineJob gives\.$/],
  ])("%s with %j says what is wrong", async (name, options, message) => {
    await expectUsage(() => untyped[name]({ url: URL_AWAY, ...options }), message);
  });

  it.each([
    ["openPulse", { backend: "reddis" }, /^backend must be one of inmem, redis\.$/],
    ["createPulseSubscriber", { redisUrl: "redis://127.0.0.1:1", stream: "feedback" }, /^stream must be one of/],
    ["createControlClient", { baseURL: "http://127.0.0.1:1" }, /has no "baseURL"; it has baseUrl, token/],
  ])("%s with %j says what is wrong", async (name, options, message) => {
    await expectUsage(() => untyped[name](options), message);
  });
});

it("a missing time is none in 1970, and a missing zone is not the machine's", () => {
  expect(() => untyped.formatTime(null)).toThrow(expect.objectContaining({ code: "time_out_of_range" }));
  expect(() => untyped.timeZone(undefined)).toThrow(/^undefined is not a time zone/);
});

describe("an open store", () => {
  let database: TestDatabase;
  let store: library.Store;
  let careless: Untyped;

  beforeAll(async () => {
    database = await createTestDatabase();
    store = await library.openStore({ url: database.url });
    careless = store;
    await store.bars.upsert([bar(0)]);
  });

  afterAll(async () => {
    await store.close();
    await database.drop();
  });

  it("says what upsert takes", async () => {
    for (const given of [undefined, null, 5, "rows", {}, bar(0)]) {
      await expectUsage(() => careless.bars.upsert(given), /^upsert takes rows in an array or another iterable, not/);
    }
    for (const given of [null, 5, { batchrows: 5 }, { timeZone: "Europe/Berlin" }, { onRejected: true }]) {
      await expectUsage(() => careless.bars.upsert([bar(0)], given));
    }
    await expectUsage(
      () => careless.bars.upsert([], { signal: new AbortController() }),
      /^signal is an object; it must/,
    );
    await expectUsage(
      () => careless.bars.upsert([], { batchrows: 5 }),
      /it has signal, batchRows, timeZone, onRejected, onBatch\.$/,
    );
  });

  it.each(["read", "readColumns", "readArrow", "series"])("%s finds nothing else than was meant", async (method) => {
    for (const query of [undefined, null, 5, "x", [], { Symbol: "A" }, { limit: "5" }, { newestFirst: "no" }]) {
      await expectUsage(() => careless.bars[method](query));
    }
    for (const options of [null, 5, { singal: null }, { signal: 5 }]) {
      await expectUsage(() => careless.bars[method]({}, options));
    }
  });

  it("so do latest prices, signals, summaries and chains", async () => {
    const [start, end, at] = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"];
    for (const query of [null, 5, { symbol: "A" }, { symbols: "A" }, { vendors: [5] }]) {
      await expectUsage(() => careless.bars.latest(query));
      await expectUsage(() => careless.signals.latest(query));
      await expectUsage(() => careless.signals.summary(query));
    }
    await expectUsage(() => careless.signals.summary({ start, end, names: "n" }), /^names is "n"; it must be an array/);
    await expectUsage(() => careless.signals.summary({ start, end, name: "n" }), /has no "name"; it has vendors,/);
    await expectUsage(() => careless.options.chain());
    await expectUsage(() => careless.options.chain({ symbol: "A", at, vendor: "x" }), /it has symbol, vendors, at\.$/);
    expect(await thrown(() => careless.options.chain({ at }))).toMatchObject({ code: "text_invalid" });
    await expectUsage(() => careless.freshness({ singal: null }));
    await expectUsage(() => careless.snapshot(5));
  });

  it("has no other properties as datasets than its datasets", async () => {
    for (const name of [undefined, "Bars", "scope", "toString"]) {
      await expectUsage(() => careless.dataset(name), / is no dataset; these are: bars, options,/);
    }
  });

  it("a batch writer refuses rows of no dataset, and goes on with the others", async () => {
    await expectUsage(() => careless.batchWriter(null));
    await expectUsage(() => careless.batchWriter({ maxrows: 5 }));
    const writer = store.batchWriter();
    await expectUsage(() => (writer as Untyped).write("trades", {}));
    const itself: Record<string, unknown> = {};
    itself["itself"] = itself;
    await (writer as Untyped).write("bars", itself);
    await writer.write("bars", bar(1));
    await writer.close();
    expect(writer.counts.bars).toMatchObject({ inserted: 1, rejected: 1 });
  });

  it("its ledger deletes nothing where dryRun is misspelt", async () => {
    await expectUsage(
      () => careless.runs.prune(1, { dryrun: true }),
      /^prune has no "dryrun"; it has dryRun, signal\.$/,
    );
    await expectUsage(() => careless.runs.prune(1, { dryRun: "yes" }), /^dryRun is "yes"; it must be true or false\.$/);
    for (const method of ["start", "complete", "recent"]) {
      await expectUsage(() =>
        method === "complete" ? careless.runs.complete(crypto.randomUUID(), null) : careless.runs[method](null),
      );
    }
  });

  it("a coordinator does not take rows for another tenant than was meant", async () => {
    const coordinator: Untyped = await library.createCoordinator({
      store,
      deadLetterDir: join(tmpdir(), database.name),
    });
    await expectUsage(
      () => coordinator.submit("bars", bar(2), { tenant: "other" }),
      /has no "tenant"; it has tenantId, signal/,
    );
    await expectUsage(() => coordinator.submit("bars", bar(2), null));
    await expectUsage(() => coordinator.submit("bars", bar(2), { tenantId: 5 }));
    await expectUsage(() => coordinator.flush(null));
    await expectUsage(() => coordinator.stop({ drian: false }), /^stop has no "drian"; it has drain, timeoutMs\.$/);
    expect(coordinator.health()).toMatchObject({ state: "running", rows: { inserted: 0, deadLettered: 0 } });
    await coordinator.stop();
  });

  it("a snapshot reads as carefully", async () => {
    await using snapshot = await store.snapshot();
    expect(snapshot).toBeInstanceOf(StoreSnapshot);
    await expectUsage(() => (snapshot as Untyped).read(library.bars, { symbl: "A" }));
  });
});
