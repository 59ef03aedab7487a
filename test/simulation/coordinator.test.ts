import { expect, it } from "vitest";
import { simulateCoordinator } from "./simulate-coordinator.ts";

const RUNS = 2_000;
/** What the runs must have met between them, or they prove less than they say. */
const MUST_BE_SEEN = [
  "came to rest",
  "circuit half_open",
  "dropped lost_at_stop",
  "dropped oldest",
  "dropped queue_full",
  "dropped spool_failed",
  "dropped stopped",
  "dropped wait_ended",
  "feedback queue_draining",
  "feedback queue_filling",
  "feedback queue_high_watermark",
  "feedback queue_recovered",
  "flushed",
  "killed",
  "left in the spool",
  "left to the dead letters",
  "letter constraint_violated",
  "letter database_conflict",
  "letter field_invalid",
  "letter shutting_down",
];

it(`keeps its invariants in ${RUNS} seeded lives, which between them see everything`, {
  timeout: 180_000,
}, async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < RUNS; seed++) {
    const result = await simulateCoordinator(seed);
    expect(result.violations, `seed ${seed}`).toEqual([]);
    for (const what of result.seen) seen.add(what);
  }
  expect(MUST_BE_SEEN.filter((what) => !seen.has(what))).toEqual([]);
});
