/**
 * What is compared is done in turns, round after round, so that a disturbance of the machine meets all of it; ratios are
 * taken round by round.
 */
import type { Connection } from "../database/pool.ts";
import { goOn, measure, median, spread, type Timing } from "./measure.ts";
import type { Figure } from "./scenario.ts";

/** One of the things that are compared. */
export interface Turn {
  /** Rows that one run moves. */
  readonly rows: number;
  /** Whose server processes work for it; its processor time is not told apart unless given. */
  readonly application?: string;
  /** What has to be so before, and is not timed. */
  readonly prepare?: () => Promise<unknown>;
  readonly run: () => Promise<unknown>;
}

/** What was measured of one turn, a timing a round. */
export interface Taken {
  readonly rows: number;
  readonly timings: readonly Timing<unknown>[];
}

/**
 * Runs all of them `rounds` times.
 *
 * @throws StoreError `aborted`, and what a run throws.
 */
export async function takeTurns<Name extends string>(
  owner: Connection,
  signal: AbortSignal,
  rounds: number,
  turns: Readonly<Record<Name, Turn>>,
): Promise<Record<Name, Taken>> {
  const names = Object.keys(turns) as Name[];
  const taken = Object.fromEntries(
    names.map((name) => [name, { rows: turns[name].rows, timings: [] }]),
  ) as unknown as Record<Name, { rows: number; timings: Timing<unknown>[] }>;
  for (let round = 0; round < rounds; round++) {
    for (const name of names) {
      goOn(signal);
      const { application = "", prepare, run } = turns[name];
      await prepare?.();
      taken[name].timings.push(await measure(owner, application, run));
    }
  }
  return taken;
}

/** The same without the first round, which is that of cold caches and plans. */
function warm({ rows, timings }: Taken): Taken {
  return { rows, timings: timings.slice(1) };
}

/** How long each round took, in ms. */
export function timesOf({ timings }: Taken): number[] {
  return timings.map(({ ms }) => ms);
}

/** Rows a second, of the median. */
export function rateOf(taken: Taken): number {
  return Math.round(taken.rows / (median(timesOf(taken)) / 1_000));
}

/** The rate as a part of another one's: each round beside that of the same round. */
export function ratios(taken: Taken, limit: Taken): number[] {
  const perRow = (of: Taken): number[] => timesOf(of).map((ms) => ms / of.rows);
  const limits = perRow(limit);
  return perRow(taken).map((own, round) => limits[round]! / own);
}

/** The middle of those ratios. */
export function ratioOf(taken: Taken, limit: Taken): number {
  return median(ratios(taken, limit));
}

/** The time of a row as a part of another one's, the middle of the rounds: less is better. */
export function timeRatio(taken: Taken, other: Taken): number {
  return ratioOf(other, taken);
}

/** What a table of rates says of one turn. */
export function rateFigure(taken: Taken, copy: Taken): Figure {
  const { rows, timings } = taken;
  const server = timings.flatMap(({ serverMs }) => serverMs ?? []);
  return {
    rows_per_s: rateOf(taken),
    of_copy: ratioOf(taken, copy),
    spread: spread(timesOf(taken)),
    client_cpu_us_per_row: (median(timings.map(({ clientMs }) => clientMs)) * 1_000) / rows,
    server_cpu_us_per_row: server.length < timings.length ? null : (median(server) * 1_000) / rows,
  };
}

/** What a table of reading says of one turn: the first read, and the others; processor time of client and server. */
export function readFigure(taken: Taken, copy: Taken): Figure {
  const times = timesOf(warm(taken));
  const cpu = warm(taken).timings.flatMap(({ clientMs, serverMs }) => (serverMs === null ? [] : clientMs + serverMs));
  return {
    first_ms: timesOf(taken)[0]!,
    warm_ms: median(times),
    times_copy: 1 / ratioOf(warm(taken), warm(copy)),
    spread: spread(times),
    cpu_ms: cpu.length < times.length ? null : median(cpu),
  };
}

/** A share for a sentence, rounded down: what is shown as reached is reached. */
export function percent(part: number): string {
  return `${Math.floor(part * 100 + 1e-9)} %`;
}
