import { expect, it } from "vitest";
import { simulateCoordinator } from "./simulate-coordinator.ts";

const RUNS = 3_000;

it(`keeps its invariants in ${RUNS} seeded lives, which between them see everything`, async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < RUNS; seed++) {
    const result = await simulateCoordinator(seed);
    expect(result.violations, `seed ${seed}`).toEqual([]);
    for (const what of result.seen) seen.add(what);
  }
  expect([...seen].sort()).toEqual([]);
}, 120_000);
