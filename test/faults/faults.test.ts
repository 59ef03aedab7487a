import { afterAll, expect, it } from "vitest";
import { FAULT_KINDS } from "./fault-kinds.ts";
import { type FaultsReport, runFaults } from "./run-faults.ts";

/** `npm run faults` takes any other. */
const SEED = 1;
const COUNT = 100;

let report: FaultsReport | undefined;

afterAll(() => {
  for (const name of report?.skipped ?? []) {
    console.warn(`SKIPPED: nothing was tested with "${name}", because a small disk cannot be mounted (it takes root).`);
  }
});

it(`R22 to R28 loses nothing and doubles nothing in ${COUNT} faults`, async () => {
  report = await runFaults({ seed: SEED, count: COUNT });
  const found = report.rounds.flatMap(({ round, fault, violations }) =>
    violations.map(
      ({ kind, text }) => `${kind}: ${text} (${fault}; npm run faults -- --seed ${SEED} --first ${round} --count 1)`,
    ),
  );
  expect(found).toEqual([]);
  // The faults happened, and all kinds of them.
  expect(new Set(report.rounds.map(({ fault }) => fault)).size + report.skipped.length).toBe(FAULT_KINDS.length);
  expect(report.deaths).toBeGreaterThan(20);
  expect(Object.keys(report.failures)).toEqual(
    expect.arrayContaining(["constraint_violated", "database_conflict", "database_unavailable", "tenant_refused"]),
  );
  expect(report.rows.accepted).toBeGreaterThan(10_000);
}, 600_000);
