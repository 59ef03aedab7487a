/**
 * The fault laboratory by hand: `npm run faults -- --count 1000 --seed 1`. A line a round, a table at the end; ends with 1
 * when something was lost, doubled or wrong, and says how to have that round again.
 */
import { parseArgs } from "node:util";
import { StoreError } from "../src/errors/store-error.ts";
import { FAULT_KINDS } from "../test/faults/fault-kinds.ts";
import { type FaultsReport, type RoundReport, runFaults } from "../test/faults/run-faults.ts";
import { runScript } from "./run-script.ts";

const SHOWN_VIOLATIONS = 5;

const USAGE = "npm run faults -- --count ROUNDS --seed NUMBER [--first ROUND] [--only KIND]";

function readOptions(): {
  readonly seed: number;
  readonly count: number;
  readonly first: number;
  readonly only?: string;
} {
  const number = { type: "string", default: "1" } as const;
  const options = {
    count: { ...number, default: "100" },
    seed: number,
    first: number,
    only: { type: "string" },
  } as const;
  const { only, ...given } = parseArgs({ options }).values;
  for (const [name, value] of Object.entries(given)) {
    if (!/^[1-9]\d{0,8}$/.test(value))
      throw new StoreError("usage", `--${name} '${value}' is not a whole number of 1 or more.`);
  }
  const kinds = FAULT_KINDS.map(({ name }) => name);
  if (only !== undefined && !kinds.includes(only)) {
    throw new StoreError("usage", `--only '${only}' is no kind of fault. Kinds: ${kinds.join(", ")}.`);
  }
  return { seed: Number(given.seed), count: Number(given.count), first: Number(given.first), ...(only && { only }) };
}

const startedAt = performance.now();

function printRound(seed: number, { round, fault, mode, ms, violations }: RoundReport): void {
  const found = violations.length === 0 ? "ok" : `${violations.length} VIOLATIONS`;
  console.log(
    `${String(round).padStart(5)}  ${fault.padEnd(42)} ${mode.padEnd(6)} ${String(ms).padStart(6)} ms  ${found}`,
  );
  for (const { kind, text } of violations.slice(0, SHOWN_VIOLATIONS)) console.log(`         ${kind}: ${text}`);
  if (violations.length > 0) console.log(`         again: npm run faults -- --seed ${seed} --first ${round} --count 1`);
}

function printSummary(seed: number, { rounds, rows, givenUp, failures, deaths, skipped }: FaultsReport): number {
  const kinds = Map.groupBy(rounds, ({ fault }) => fault);
  console.log(`\n${"fault".padEnd(42)} rounds  violations`);
  for (const [fault, those] of [...kinds].sort(([a], [b]) => a.localeCompare(b))) {
    const found = those.reduce((sum, { violations }) => sum + violations.length, 0);
    console.log(`${fault.padEnd(42)} ${String(those.length).padStart(6)}  ${found}`);
  }
  const violations = rounds.flatMap((round) => round.violations);
  const count = (kind: string): number => violations.filter((violation) => violation.kind === kind).length;
  console.log(
    `\n${rounds.length} faults in ${Math.round((performance.now() - startedAt) / 1_000)} s, seed ${seed}\n` +
      `processes that died: ${deaths}; writes that failed, by code: ${JSON.stringify(failures)}\n` +
      `rows: ${rows.accepted} accepted, ${rows.doubt} in doubt, ${rows.refused} refused (${rows.storedUninvited} of them stored)\n` +
      `in the database: ${rows.stored} keys; in the dead letters: ${rows.letters} rows (${rows.repeatedLetters} letters repeated after a death, ${rows.cutOffAndStored} rows cut off by a stop and stored)\n` +
      `good rows given up, by code: ${JSON.stringify(givenUp)}\n` +
      `lost: ${count("lost")}, doubled: ${count("doubled")}, wrong: ${count("wrong")}, others: ${count("stuck") + count("left open") + count("given up")}`,
  );
  for (const name of skipped) console.log(`SKIPPED: ${name} (a small disk cannot be mounted; it takes root)`);
  return violations.length;
}

await runScript(USAGE, async (signal) => {
  const options = readOptions();
  const { seed } = options;
  const report = await runFaults({ ...options, onRound: (round) => printRound(seed, round), signal });
  if (printSummary(seed, report) > 0) process.exitCode ||= 1;
});
