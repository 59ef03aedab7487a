/** The jobs that keep aggregates: refresh every minute, rebuild in parts, and go on where an attempt was cut off. */
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { rebuildAggregatesJob } from "../../src/jobs/rebuild-aggregates-job.ts";
import { refreshAggregatesJob } from "../../src/jobs/refresh-aggregates-job.ts";
import { allWrongBuckets, NONE_WRONG, refresh, wrongBuckets } from "../support/aggregates.ts";
import { manyBars } from "../support/bars.ts";
import { attemptJob } from "../support/job-context.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let store: Store;
const MONTHS = ["2024-01", "2024-02", "2024-03", "2024-04", "2024-05"];

beforeAll(async () => {
  database = await createTestDatabase();
  store = await openStore({ url: database.url });
  for (const month of MONTHS) {
    const start = BigInt(Date.parse(`${month}-03T00:00:00Z`)) * 1_000n;
    await store.bars.upsert(manyBars(300).map((row, at) => ({ ...row, ts: start + BigInt(at) * 60_000_000n })));
  }
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

const spoil = () => database.sql("update store.bars_5m_data set volume = -1");
const spoilt = async (): Promise<string[]> =>
  (
    await database.sql<{ month: string }>(
      "select distinct to_char(ts at time zone 'UTC', 'YYYY-MM') as month from store.bars_5m_data where volume < 0 order by 1",
    )
  ).map(({ month }) => month);

it("a refresh works out what was written, and says how much", async () => {
  expect(refreshAggregatesJob.schedule).toBe("* * * * *");
  const { result, error, reports } = await attemptJob(database, refreshAggregatesJob, {});
  expect(error).toBeUndefined();
  expect(result).toMatchObject({ marks: 5, aggregates: { "5m": { written: 300, removed: 0 }, "1d": { written: 5 } } });
  expect(reports).toEqual([
    { rows_written: 300 + 100 + 25 + 5, message: "Wrote buckets: 5m 300, 15m 100, 1h 25, 1d 5." },
  ]);
  expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
  expect((await attemptJob(database, refreshAggregatesJob, {})).reports).toEqual([]);
});

it("a refresh of a range works out that range anew", async () => {
  await spoil();
  await attemptJob(database, refreshAggregatesJob, { start: "2024-02-01T00:00:00Z", end: "2024-04-01T00:00:00Z" });
  expect(await spoilt()).toEqual(["2024-01", "2024-04", "2024-05"]);
});

it("a rebuild that is cut off in its middle ends, at its second attempt, as one that was not", async () => {
  await spoil();
  let left = 2;
  const first = await attemptJob(
    database,
    rebuildAggregatesJob,
    {},
    {
      onCheckpoint: () => {
        if (--left === 0) throw new Error("cut off");
      },
    },
  );
  expect(first.error).toMatchObject({ message: "cut off" });
  const march = inject("engine") === "plain" ? "2024-03-01" : "2024-02-29"; // where a chunk of a week begins
  expect(first.checkpoint).toEqual({ next_start: `${march}T00:00:00.000000Z` });
  expect(await spoilt()).toEqual(["2024-03", "2024-04", "2024-05"]);
  await database.sql("update store.bars_5m_data set volume = -1 where ts < '2024-02-01Z'");
  const second = await attemptJob(database, rebuildAggregatesJob, {}, { checkpoint: first.checkpoint, attempt: 2 });
  expect(second.error).toBeUndefined();
  // What was done before is not done again.
  expect(await spoilt()).toEqual(["2024-01"]);
  await attemptJob(database, rebuildAggregatesJob, {});
  expect(await allWrongBuckets(database)).toEqual(NONE_WRONG);
});

it("a job that was killed between marking and working out leaves its marks to the next refresh", async () => {
  await spoil();
  await database.sql("select mds.mark_aggregates('bars', array['5m'], null, null)");
  await refresh(database);
  expect(await spoilt()).toEqual(MONTHS.slice(1));
  const stop = new AbortController();
  const { error } = await attemptJob(
    database,
    rebuildAggregatesJob,
    {},
    {
      signal: stop.signal,
      onReport: () => stop.abort(),
    },
  );
  expect(error).toMatchObject({ code: "aborted" });
  await attemptJob(database, rebuildAggregatesJob, { aggregates: ["5m"] });
  expect(await wrongBuckets(database, "5m")).toEqual([]);
});

it("inputs that make no sense are refused", async () => {
  const wrong = await attemptJob(database, rebuildAggregatesJob, { dataset: "news" });
  expect(wrong.error).toMatchObject({ code: "usage" });
  expect((await attemptJob(database, refreshAggregatesJob, { dataset: "signals" })).error).toMatchObject({
    code: "usage",
  });
});
