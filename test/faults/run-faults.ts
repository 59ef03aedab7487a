/** Round after round: a producer under load, a fault, and the check that nothing is lost and nothing doubled. */
import { setTimeout as wait } from "node:timers/promises";
import { SeededRandom } from "../simulation/seeded-random.ts";
import type { FaultKind } from "./fault-kind.ts";
import { FAULT_KINDS } from "./fault-kinds.ts";
import { Laboratory } from "./laboratory.ts";
import type { Violation } from "./ledger.ts";

export interface FaultsOptions {
  readonly seed: number;
  readonly count: number;
  /** Number of the first round; 1 unless given. A round can be repeated alone. */
  readonly first?: number;
  /** Name of the only kind of fault. */
  readonly only?: string | undefined;
  readonly onRound?: (round: RoundReport) => void;
  /** Ends after the round that is under way. */
  readonly signal?: AbortSignal;
}

export interface RoundReport {
  readonly round: number;
  readonly fault: string;
  readonly mode: "spool" | "memory";
  readonly ms: number;
  readonly violations: readonly Violation[];
}

export interface FaultsReport {
  readonly rounds: readonly RoundReport[];
  /** Kinds that could not be tried here. */
  readonly skipped: readonly string[];
  /** Rows, by what became of them. */
  readonly rows: {
    /** Of which the producer knows that they were accepted. */
    readonly accepted: number;
    /** Whose process died before it could know. */
    readonly doubt: number;
    readonly refused: number;
    /** Distinct rows that are stored at the end, one a key. */
    readonly stored: number;
    /** Distinct rows in the dead letters. */
    readonly letters: number;
    /** Letters of rows that had one: a process died before it could note that. */
    readonly repeatedLetters: number;
    /** Rows whose write a stop without a spool cut off, which are stored and in the dead letters. */
    readonly cutOffAndStored: number;
    /** Refused rows that are stored all the same. */
    readonly storedUninvited: number;
  };
  /** Writes that failed, by their error's code: what the faults came to. */
  readonly failures: Readonly<Record<string, number>>;
  /** Processes that were killed. */
  readonly deaths: number;
  /** Good rows in the dead letters, by code. */
  readonly givenUp: Readonly<Record<string, number>>;
}

/** A fresh database after so many: what is to be compared stays small. */
const ROUNDS_PER_LABORATORY = 100;
const MEMORY_PART = 0.2;
const REOPEN_PART = 0.3;

export async function runFaults(options: FaultsOptions): Promise<FaultsReport> {
  const { count, first = 1 } = options;
  const rounds: RoundReport[] = [];
  const skipped = new Set<string>();
  const rows = {
    accepted: 0,
    doubt: 0,
    refused: 0,
    stored: 0,
    letters: 0,
    repeatedLetters: 0,
    cutOffAndStored: 0,
    storedUninvited: 0,
  };
  const givenUp: Record<string, number> = {};
  const failures: Record<string, number> = {};
  let deaths = 0;
  const isStopped = (): boolean => options.signal?.aborted === true;
  const end = first + count;
  for (let next = first; next < end && !isStopped(); ) {
    const laboratory = await Laboratory.open();
    try {
      const to = Math.min(next + ROUNDS_PER_LABORATORY, end);
      for (let isUsable = true; isUsable && next < to && !isStopped(); next++) {
        const { report, isBroken } = await runRound(laboratory, options, next, next === to - 1, skipped);
        isUsable = !isBroken;
        rounds.push(report);
        options.onRound?.(report);
      }
      for (const [code, number] of laboratory.ledger.givenUp) givenUp[code] = (givenUp[code] ?? 0) + number;
      for (const [code, number] of Object.entries(laboratory.failures)) failures[code] = (failures[code] ?? 0) + number;
      deaths += laboratory.deaths;
      for (const [name, number] of Object.entries(laboratory.ledger.counts)) rows[name as keyof typeof rows] += number;
      rows.stored += laboratory.stored;
    } finally {
      await laboratory.close();
    }
  }
  return { rounds, skipped: [...skipped], rows, givenUp, failures, deaths };
}

interface Round {
  readonly kind: FaultKind;
  readonly random: SeededRandom;
  readonly inMemory: boolean;
  /** The laboratory's last one. */
  readonly isLast: boolean;
  readonly violations: Violation[];
}

async function runRound(
  laboratory: Laboratory,
  { seed, only }: FaultsOptions,
  number: number,
  isLast: boolean,
  skipped: Set<string>,
): Promise<{ readonly report: RoundReport; readonly isBroken: boolean }> {
  const startedAt = performance.now();
  const kind = kindOf(seed, number, only, (one) => {
    const isPossible = one.needsSmallDisk !== true || laboratory.smallDisk !== undefined;
    if (!isPossible) skipped.add(one.name);
    return isPossible;
  });
  const random = new SeededRandom(seed * 100_003 + number);
  const inMemory = kind.inMemoryToo === true && random.chance(MEMORY_PART);
  const violations: Violation[] = [];
  const isBroken = await playRound(laboratory, { kind, random, inMemory, isLast, violations }).then(
    () => false,
    (error: unknown) => violations.push({ kind: "stuck", text: `The round could not be ended: ${String(error)}` }) > 0,
  );
  const ms = Math.round(performance.now() - startedAt);
  return { report: { round: number, fault: kind.name, mode: inMemory ? "memory" : "spool", ms, violations }, isBroken };
}

async function playRound(laboratory: Laboratory, { kind, random, inMemory, isLast, violations }: Round): Promise<void> {
  const isOther = inMemory || kind.life !== undefined || laboratory.life?.spoolFolder !== laboratory.spoolFolder;
  if (isOther || random.chance(REOPEN_PART)) violations.push(...(await laboratory.stopLife({})));
  if (!laboratory.isAlive) {
    const life = kind.life?.(laboratory, random);
    await laboratory.openLife(random, { ...life, ...(inMemory && { spoolFolder: undefined }) });
  }
  await laboratory.produce(random, kind.load);
  violations.push(...((await kind.run(laboratory, random)) ?? []));
  if (!laboratory.isAlive && random.chance(0.5)) {
    // New rows meet what is still in the spool.
    await laboratory.openLife(random);
    await laboratory.produce(random);
    await wait(random.whole(0, 50));
  }
  violations.push(...(await laboratory.check(random, isLast)));
}

/** Each kind comes once before any comes again. */
function kindOf(
  seed: number,
  round: number,
  only: string | undefined,
  isPossible: (kind: FaultKind) => boolean,
): FaultKind {
  const kinds = FAULT_KINDS.filter((kind) => (only === undefined || kind.name === only) && isPossible(kind));
  const cycle = Math.floor((round - 1) / kinds.length);
  const random = new SeededRandom(seed * 1_009 + cycle);
  const order = kinds.map((kind) => ({ kind, place: random.next() })).sort((a, b) => a.place - b.place);
  return order[(round - 1) % kinds.length]!.kind;
}
