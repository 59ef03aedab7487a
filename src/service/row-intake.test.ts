import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { signals } from "../datasets/signals.ts";
import { StoreError } from "../errors/store-error.ts";
import type { RecordBatch } from "../files/record-batch.ts";
import { RowIntake } from "./row-intake.ts";

type Line = "good" | "bad" | "unreadable" | "blank";

const good = (line: number) => ({ vendor: "v", symbol: `S${line}`, name: "n", ts: "2024-01-02T00:00:00Z", value: 1 });

/** Lines as the reader gives them, numbered from 1. */
function* batchesOf(lines: readonly Line[], linesPerBatch: number): Generator<RecordBatch> {
  for (let from = 0; from < lines.length; from += linesPerBatch) {
    const batch: RecordBatch = { rows: [], lines: [], rejects: [] };
    for (const [at, kind] of lines.slice(from, from + linesPerBatch).entries()) {
      const line = from + at + 1;
      if (kind === "blank") continue;
      if (kind === "unreadable") {
        batch.rejects.push({ line, rejection: { code: "json_invalid", message: "no JSON" }, raw: "{" });
        continue;
      }
      batch.rows.push(kind === "good" ? good(line) : { ...good(line), value: "x" });
      batch.lines.push(line);
    }
    yield batch;
  }
}

async function* source(batches: Iterable<RecordBatch>, fault?: StoreError): AsyncGenerator<RecordBatch> {
  for (const batch of batches) yield batch;
  if (fault !== undefined) throw fault;
}

/** A spool with room for so many rows. */
function spoolFor(room: number) {
  const rows: unknown[] = [];
  let calls = 0;
  const submit = async (given: readonly unknown[]): Promise<void> => {
    calls++;
    await new Promise((resolve) => void setImmediate(resolve));
    const accepted = Math.min(given.length, room - rows.length);
    rows.push(...given.slice(0, accepted));
    if (accepted < given.length) throw new StoreError("queue_full", "It is full.", { details: { accepted } });
  };
  return { rows, submit, callsSoFar: () => calls };
}

const symbolsOf = (rows: readonly unknown[]) => rows.map((row) => (row as { symbol: string }).symbol);

describe("RowIntake", () => {
  it("accepts a contiguous prefix: every line up to accepted_lines is durable or rejected, none behind it is", async () => {
    const kind = fc.constantFrom<Line>("good", "good", "good", "bad", "unreadable", "blank");
    await fc.assert(
      fc.asyncProperty(
        fc.array(kind, { maxLength: 60 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 0, max: 60 }),
        async (lines, linesPerBatch, room) => {
          const spool = spoolFor(room);
          const intake = new RowIntake({ dataset: signals, submit: spool.submit });
          const error: unknown = await intake.takeAll(source(batchesOf(lines, linesPerBatch))).catch((e) => e);
          const { accepted_lines, rejected } = intake.acceptance;
          const done = lines.slice(0, accepted_lines);
          const goodLines = done.flatMap((one, at) => (one === "good" ? [at + 1] : []));
          const badLines = done.flatMap((one, at) => (one === "bad" || one === "unreadable" ? [at + 1] : []));
          expect(symbolsOf(spool.rows)).toEqual(goodLines.map((line) => `S${line}`));
          expect(rejected.first.map(({ line }) => line)).toEqual(badLines);
          expect([rejected.count, intake.acceptedRows]).toEqual([badLines.length, goodLines.length]);
          const isAll = lines.filter((one) => one === "good").length <= room;
          expect(error === undefined).toBe(isAll);
          // Where it ended early, the next line is the first that found no room.
          if (!isAll) expect(lines[accepted_lines]).toBe("good");
        },
      ),
      { numRuns: 500 },
    );
  });

  it("hands nothing on after a failure, and reads no further", async () => {
    const spool = spoolFor(10);
    const intake = new RowIntake({ dataset: signals, submit: spool.submit });
    let read = 0;
    const batches = function* (): Generator<RecordBatch> {
      for (const batch of batchesOf(Array<Line>(100_000).fill("good"), 400)) {
        read++;
        yield batch;
      }
    };
    await expect(intake.takeAll(source(batches()))).rejects.toMatchObject({ code: "queue_full" });
    expect(intake.acceptance.accepted_lines).toBe(10);
    expect(spool.callsSoFar()).toBe(1);
    // The piece under way and the one that was filled meanwhile.
    expect(read).toBeLessThanOrEqual(12);
  });

  it("makes durable what came before a body broke off", async () => {
    const spool = spoolFor(1_000);
    const intake = new RowIntake({ dataset: signals, submit: spool.submit });
    const fault = new StoreError("body_incomplete", "It breaks off.");
    const lines = Array<Line>(25).fill("good");
    await expect(intake.takeAll(source(batchesOf(lines, 10), fault))).rejects.toBe(fault);
    expect([intake.acceptance.accepted_lines, spool.rows.length]).toEqual([25, 25]);
  });

  it("bounds a piece by its rows and by its batches", async () => {
    const pieces: number[] = [];
    const submit = async (rows: readonly unknown[]): Promise<void> => {
      pieces.push(rows.length);
      await new Promise((resolve) => void setImmediate(resolve));
    };
    const take = (lines: number, perBatch: number) =>
      new RowIntake({ dataset: signals, submit }).takeAll(source(batchesOf(Array<Line>(lines).fill("good"), perBatch)));
    await take(30_000, 300);
    expect(Math.max(...pieces)).toBeLessThan(2_000 + 300);
    pieces.length = 0;
    await take(200, 1);
    expect(Math.max(...pieces)).toBeLessThanOrEqual(16);
  });
});
