import { Readable } from "node:stream";
import { setImmediate as immediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { UpsertOptions, UpsertResult } from "../client/upsert.ts";
import { bars } from "../datasets/bars.ts";
import { StoreError } from "../errors/store-error.ts";
import { dryRun } from "./dry-run.ts";
import { type IngestTarget, ingestFile } from "./ingest-file.ts";
import type { Reject } from "./rejects-writer.ts";

const HEADER = "ts,symbol,vendor,timeframe,open,high,low,close,volume\n";
const line = (symbol: string, minute = 0): string =>
  `2024-01-01T00:${String(minute % 60).padStart(2, "0")}:00Z,${symbol},v,1m,1,1,1,1,1\n`;

async function* endless(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(HEADER);
  for (;;) yield Buffer.from(text.repeat(100));
}

type Rows = AsyncIterable<readonly Record<string, unknown>[]>;

/** A dataset's client that does with the rows whatever a test wants. */
function target(take: (rows: Rows, options: UpsertOptions) => Promise<void>): IngestTarget {
  const result: UpsertResult = { inserted: 0, updated: 0, unchanged: 0, superseded: 0, rejected: 0, rejections: [] };
  return {
    dataset: bars,
    upsert: async (rows, options = {}) => {
      await take(rows as AsyncIterable<readonly unknown[]> as Rows, options);
      return result;
    },
  };
}

const takeAll = target(async (rows) => {
  for await (const _ of rows);
});

describe("ingestFile", () => {
  it("gives each reject the number of its line, whoever rejected it", async () => {
    const text = `${HEADER}${line("A")}\n${line("B")}too,few,cells\n"a quote\nover two lines",B,v,1m,1,1,1,1,1\n${line("C")}`;
    const rejects: Reject[] = [];
    const rejectSome = target(async (rows, { onRejected, placeOf }) => {
      for await (const batch of rows) {
        for (const row of batch) {
          if (row["symbol"] === "A") continue;
          onRejected?.({ index: placeOf!(row), code: "number_invalid", message: "No.", row });
        }
      }
    });
    const counts = await ingestFile(rejectSome, "-", {
      stdin: Readable.from([Buffer.from(text)]),
      onRejects: (some) => void rejects.push(...some),
    });
    expect(rejects.map((one) => [one.line, one.code])).toEqual([
      [5, "csv_invalid"],
      [4, "number_invalid"],
      [6, "number_invalid"],
      [8, "number_invalid"],
    ]);
    expect(rejects.map(({ row }) => (typeof row === "string" ? row : (row as { ts: string }).ts))).toEqual([
      "too,few,cells",
      "2024-01-01T00:00:00Z",
      "a quote\nover two lines",
      "2024-01-01T00:00:00Z",
    ]);
    expect(counts).toMatchObject({ read: 5, rejected: 4 });
    expect(JSON.stringify(rejects)).not.toContain("Symbol");
  });

  it("reads no further than the rows are taken", async () => {
    let given = 0;
    const source = new Readable({
      highWaterMark: 65_536,
      read() {
        given++;
        this.push(given === 1 ? HEADER : line("A").repeat(1_500));
      },
    });
    let atFirst = 0;
    const slow = target(async (rows) => {
      for await (const _ of rows) {
        for (let turn = 0; turn < 100; turn++) await immediate();
        atFirst ||= given;
        if (given > 100) throw new StoreError("aborted", "Enough.");
      }
    });
    await expect(ingestFile(slow, "-", { stdin: source })).rejects.toMatchObject({ code: "aborted" });
    expect(atFirst).toBeLessThan(8);
  });

  it("closes the file and tells the counts when the rows cannot be written", async () => {
    const source = Readable.from(endless(line("A")));
    const failing = target(async (rows, { onBatch }) => {
      await rows[Symbol.asyncIterator]().next();
      onBatch?.(
        { inserted: 7, updated: 1, unchanged: 2, superseded: 3, rejected: 0, rejections: [] },
        { series: [], times: new Float64Array(), size: 0 },
      );
      throw new StoreError("database_unavailable", "Gone.", { details: { sqlstate: "57P01" } });
    });
    const error = await ingestFile(failing, "-", { stdin: source }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      code: "database_unavailable",
      details: { sqlstate: "57P01", ingested: { inserted: 7, updated: 1, unchanged: 2, superseded: 3 } },
    });
    expect(source.destroyed).toBe(true);
  });

  it("passes on all rejects before it fails, and fails where they cannot be kept", async () => {
    const stopping = new AbortController();
    const rejects: Reject[] = [];
    const stopped = ingestFile(dryRun(bars), "-", {
      stdin: Readable.from(endless("x,A,v,1m,1,1,1,1,1\n")),
      signal: stopping.signal,
      onRejects: (some) => {
        rejects.push(...some);
        if (rejects.length > 500) stopping.abort();
      },
    });
    const error = (await stopped.catch((caught: unknown) => caught)) as StoreError;
    expect(error.code).toBe("aborted");
    expect(error.details["ingested"]).toMatchObject({ rejected: rejects.length });

    const full = new StoreError("file_unwritable", "The disk is full.");
    const kept = ingestFile(dryRun(bars), "-", {
      stdin: Readable.from(endless("x,A,v,1m,1,1,1,1,1\n")),
      onRejects: () => Promise.reject(full),
    });
    await expect(kept).rejects.toMatchObject({ code: "file_unwritable" });
  });

  it("upper-cases symbols and nothing else, only when told to", async () => {
    const seen: unknown[] = [];
    const keeping = target(async (rows) => {
      for await (const batch of rows) seen.push(...batch.map(({ symbol, vendor }) => [symbol, vendor]));
    });
    const stdin = () => Readable.from([Buffer.from(HEADER + line("abc"))]);
    await ingestFile(keeping, "-", { stdin: stdin(), upperCase: true });
    await ingestFile(keeping, "-", { stdin: stdin() });
    expect(seen).toEqual([
      ["ABC", "v"],
      ["abc", "v"],
    ]);
  });

  it("takes an empty source as one without rows", async () => {
    expect(await ingestFile(takeAll, "-", { stdin: Readable.from([]) })).toMatchObject({ read: 0, rejected: 0 });
  });
});

describe("dryRun", () => {
  it("checks every row, batch after batch", async () => {
    const text = HEADER + line("A").repeat(2_500) + line("A").replace("v,1m", "v,7m") + line("A");
    const rejects: Reject[] = [];
    const counts = await ingestFile(dryRun(bars), "-", {
      stdin: Readable.from([Buffer.from(text)]),
      onRejects: (some) => void rejects.push(...some),
    });
    expect(counts).toMatchObject({ read: 2_502, inserted: 0, rejected: 1 });
    expect(rejects).toMatchObject([{ line: 2_502, code: "timeframe_invalid" }]);
  });
});
