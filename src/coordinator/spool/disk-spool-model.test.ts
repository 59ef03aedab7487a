/**
 * Any sequence of appends, acknowledgements, restarts and crashes does what a list in memory does. A crash is a copy of
 * the folder as it is in that moment, with a torn record behind what was accepted and the last acknowledgements missing.
 */
import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { DiskSpool } from "./disk-spool.ts";
import { openSpool } from "./open-spool.ts";

type Step =
  | { readonly do: "append"; readonly calls: readonly number[]; readonly bytes: number }
  | { readonly do: "acknowledge"; readonly picks: readonly number[] }
  | { readonly do: "restart" }
  | { readonly do: "read"; readonly from: number }
  | { readonly do: "crash"; readonly torn: number; readonly forgotten: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("append" as const),
    calls: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
    bytes: fc.nat(120),
  }),
  fc.record({ do: fc.constant("acknowledge" as const), picks: fc.array(fc.nat(60), { minLength: 1, maxLength: 12 }) }),
  fc.record({ do: fc.constant("restart" as const) }),
  fc.record({ do: fc.constant("read" as const), from: fc.nat(60) }),
  fc.record({ do: fc.constant("crash" as const), torn: fc.nat(40), forgotten: fc.nat(10) }),
);

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
let root: string;
let lives = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "mds-spool-model-"));
});
afterAll(() => rm(root, { recursive: true }));

class Pair {
  folder = "";
  spool!: DiskSpool;
  /** What was accepted, by sequence number - 1. */
  readonly accepted: string[] = [];
  /** Each call's, in their order. */
  acknowledged: number[][] = [];

  async open(): Promise<void> {
    this.spool = await openSpool({ folder: this.folder, maxBytes: 64 * 1_048_576, segmentBytes: 500, log: silent });
  }

  get waiting(): number[] {
    const done = new Set(this.acknowledged.flat());
    return this.accepted.map((_, at) => at + 1).filter((sequence) => !done.has(sequence));
  }

  async apply(step: Step): Promise<void> {
    if (step.do === "append") await this.append(step.calls, step.bytes);
    else if (step.do === "acknowledge") this.acknowledge(step.picks);
    else if (step.do === "read") await this.expectWaiting(step.from);
    else if (step.do === "restart") {
      await this.spool.close();
      await this.open();
    } else await this.crash(step.torn, step.forgotten);
    await this.expectWaiting(1);
  }

  async append(calls: readonly number[], bytes: number): Promise<void> {
    const groups = calls.map((count) =>
      Array.from({ length: count }, (_, at) => `${this.accepted.length} ${at} `.padEnd(bytes, "x")),
    );
    const firsts = await Promise.all(groups.map((group) => this.spool.append(group.map((text) => Buffer.from(text)))));
    for (const [at, group] of groups.entries()) {
      expect(firsts[at]!.first).toBe(this.accepted.length + 1);
      this.accepted.push(...group);
    }
  }

  acknowledge(picks: readonly number[]): void {
    const { waiting } = this;
    const chosen = [...new Set(picks.map((pick) => waiting[pick]).filter((one) => one !== undefined))];
    this.acknowledged.push(chosen);
    this.spool.acknowledge(chosen);
  }

  async expectWaiting(from: number): Promise<void> {
    const expected = this.waiting.filter((sequence) => sequence >= from);
    expect(await sequences(this.spool, from, this.accepted)).toEqual(expected);
    expect(this.spool.depth).toBe(this.waiting.length);
    expect(this.spool.nextSequence).toBe(this.accepted.length + 1);
    expect(this.spool.damaged).toBe(0);
  }

  async crash(torn: number, forgotten: number): Promise<void> {
    const next = join(root, `${++lives}`);
    await cp(this.folder, next, { recursive: true, filter: (path) => !path.includes("owner-") });
    await this.spool.close();
    await tear(next, torn, forgotten);
    this.folder = next;
    await this.open();
    // Of the acknowledgements a beginning is left: behind the first call that is forgotten all are, but for those whose
    // segments were gone already.
    const back = new Set(await sequences(this.spool, 1, this.accepted));
    const first = await firstOnDisk(next);
    const forgottenFrom = this.acknowledged.findIndex((call) => call.some((sequence) => back.has(sequence)));
    for (const call of forgottenFrom < 0 ? [] : this.acknowledged.slice(forgottenFrom)) {
      expect(call.filter((sequence) => sequence >= first && !back.has(sequence))).toEqual([]);
    }
    this.acknowledged = this.acknowledged.map((call) => call.filter((sequence) => !back.has(sequence)));
  }
}

/** Sequence number of the oldest record that is still in a file. */
async function firstOnDisk(folder: string): Promise<number> {
  const firsts = (await readdir(folder)).map((name) => Number(/^segment-(\d+)\.log$/.exec(name)?.[1] ?? Number.NaN));
  return Math.min(...firsts.filter((first) => !Number.isNaN(first)));
}

async function sequences(spool: DiskSpool, from: number, accepted: readonly string[]): Promise<number[]> {
  const all: number[] = [];
  for await (const batch of spool.read(from)) {
    for (const { sequence, record } of batch) {
      expect(Buffer.from(record).toString()).toBe(accepted[sequence - 1]);
      all.push(sequence);
    }
  }
  return all;
}

/** What a crash does to files that were written and not synced. */
async function tear(folder: string, torn: number, forgotten: number): Promise<void> {
  const newest = (await readdir(folder))
    .filter((name) => name.startsWith("segment-"))
    .sort()
    .at(-1);
  if (newest !== undefined) {
    const path = join(folder, newest);
    const bytes = await readFile(path);
    await writeFile(path, Buffer.concat([bytes, bytes.subarray(24, 24 + torn)]));
  }
  const log = join(folder, "acknowledged.log");
  const size = (await readFile(log)).length;
  await truncate(log, Math.max(0, size - forgotten));
}

it("does what a list does, also over crashes", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (steps) => {
      const pair = new Pair();
      pair.folder = join(root, `${++lives}`);
      await pair.open();
      try {
        for (const one of steps) await pair.apply(one);
      } finally {
        await pair.spool.close();
      }
    }),
    { numRuns: 80 },
  );
}, 120_000);
