/**
 * The fault laboratory by hand: `npm run faults -- --count 1000 --seed 1`. A line a round, a table at the end; ends with 1
 * when something was lost, doubled or wrong, and says how to have that round again.
 */
import { parseArgs } from "node:util";
import { type FaultsReport, type RoundReport, runFaults } from "../test/faults/run-faults.ts";

const SHOWN_VIOLATIONS = 5;

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "100" },
    seed: { type: "string", default: "1" },
    first: { type: "string", default: "1" },
    only: { type: "string" },
  },
});
const seed = Number(values.seed);
const startedAt = performance.now();

function printRound({ round, fault, mode, ms, violations }: RoundReport): void {
  const found = violations.length === 0 ? "ok" : `${violations.length} VIOLATIONS`;
  console.log(
    `${String(round).padStart(5)}  ${fault.padEnd(42)} ${mode.padEnd(6)} ${String(ms).padStart(6)} ms  ${found}`,
  );
  for (const { kind, text } of violations.slice(0, SHOWN_VIOLATIONS)) console.log(`         ${kind}: ${text}`);
  if (violations.length > 0) console.log(`         again: npm run faults -- --seed ${seed} --first ${round} --count 1`);
}

function printSummary({ rounds, rows, givenUp, failures, deaths, skipped }: FaultsReport): number {
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

const ending = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => ending.abort());
const report = await runFaults({
  seed,
  count: Number(values.count),
  first: Number(values.first),
  only: values.only,
  onRound: printRound,
  signal: ending.signal,
});
if (printSummary(report) > 0) process.exitCode = 1;
