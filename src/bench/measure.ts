/**
 * Time and processor time of one piece of work, this process's told apart from that of its server processes; medians
 * and spreads. The server's part is known where its processes can be seen, on Linux on the same machine.
 */
import { readFile } from "node:fs/promises";
import type { Connection } from "../database/pool.ts";
import { StoreError } from "../errors/store-error.ts";

export interface Timing<Result> {
  readonly result: Result;
  readonly ms: number;
  /** Processor time of this process: the caller's, the client's, the collector's. */
  readonly clientMs: number;
  /** Processor time of the server processes that work for applications whose names begin with `application`; null where it cannot be seen. */
  readonly serverMs: number | null;
}

/** Runs the work once. */
export async function measure<Result>(
  owner: Connection,
  application: string,
  work: () => Promise<Result>,
): Promise<Timing<Result>> {
  const before = await serverTimes(owner, application);
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  const result = await work();
  const ms = performance.now() - startedAt;
  const cpu = process.cpuUsage(cpuBefore);
  const after = await serverTimes(owner, application);
  return { result, ms, clientMs: (cpu.user + cpu.system) / 1_000, serverMs: difference(before, after) };
}

/** Processor time of each server process of an application so far; null where it cannot be seen. */
async function serverTimes(owner: Connection, application: string): Promise<Map<number, number> | null> {
  const { rows } = await owner.query<{ pid: number }>(
    `select pid from pg_stat_activity
     where $1 <> '' and starts_with(application_name, $1) and datname = current_database()`,
    [application],
  );
  const times = new Map<number, number>();
  for (const { pid } of rows) {
    const ms = await processMs(pid);
    if (ms === undefined) return null;
    times.set(pid, ms);
  }
  return times;
}

async function processMs(pid: number): Promise<number | undefined> {
  // A process of that number on this machine may be another one when the server runs elsewhere.
  const title = await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "");
  if (!title.startsWith("postgres")) return undefined;
  // Begins with the nanoseconds that the process has run.
  const text = await readFile(`/proc/${pid}/schedstat`, "latin1").catch(() => undefined);
  return text === undefined ? undefined : Number(text.split(" ")[0]) / 1e6;
}

function difference(before: Map<number, number> | null, after: Map<number, number> | null): number | null {
  if (before === null || after === null) return null;
  let sum = 0;
  for (const [pid, ms] of after) sum += ms - (before.get(pid) ?? 0);
  return sum;
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** From the least to the greatest value, as a part of the median. */
export function spread(values: readonly number[]): number {
  return (Math.max(...values) - Math.min(...values)) / median(values);
}

/** @throws StoreError `aborted` when the caller has stopped the benchmark. */
export function goOn(signal: AbortSignal): void {
  if (signal.aborted) throw new StoreError("aborted", "The benchmark was stopped.");
}

/** How long each of `times` calls took, in ms, one after another. */
export async function repeat(times: number, signal: AbortSignal, work: () => Promise<unknown>): Promise<number[]> {
  const taken: number[] = [];
  for (let at = 0; at < times; at++) {
    goOn(signal);
    const startedAt = performance.now();
    await work();
    taken.push(performance.now() - startedAt);
  }
  return taken;
}
