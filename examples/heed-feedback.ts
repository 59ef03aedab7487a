/**
 * A pipeline that heeds the store's feedback: it slows down on `soft`, pauses on `hard` and goes on at `ok`. Here it runs
 * beside the coordinator that it heeds; with REDIS_URL the events go over Redis, as they do between processes.
 * Needs a migrated database: `DATABASE_URL=postgresql://… node examples/heed-feedback.ts`. Outside this repository
 * import "market-data-store".
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { type BarInput, createCoordinator, createPulseSubscriber, FeedbackBus, openPulse } from "../src/index.ts";

const redisUrl = process.env["REDIS_URL"];
const ROWS = 20_000;
const ROWS_PER_CALL = 400;
/** What a pipeline does to slow down is its own business; this one takes a breath between calls. */
const BREATH_MS = 10;

// The store's side: a coordinator that is small on purpose, and its feedback on the event bus.
const pulse = await openPulse(redisUrl === undefined ? { backend: "inmem" } : { backend: "redis", redisUrl });
const feedback = new FeedbackBus();
feedback.subscribe(pulse.publisher);
const coordinator = await createCoordinator({
  url: process.env["DATABASE_URL"] ?? "",
  tenant: "default",
  id: "example",
  ...{ capacity: 1_000, workers: 1, batchRows: 200, feedback },
  deadLetterDir: join(tmpdir(), "mds-example-dead-letters"),
});

// The pipeline's side: it hears how hard it may push. Events of one coordinator come in their order.
const heard = new Set<string>();
let level = "ok";
let changed = Promise.withResolvers<void>();
const subscriber = await createPulseSubscriber({
  ...(redisUrl === undefined ? { bus: pulse.bus } : { redisUrl }),
  stream: "telemetry.feedback",
  onEvent: ({ payload }) => {
    if (payload.coordinator_id !== "example") return;
    heard.add(payload.level);
    level = payload.level;
    changed.resolve();
    changed = Promise.withResolvers();
  },
});
await subscriber.ready;

async function untilWelcome(): Promise<void> {
  while (level === "hard") await changed.promise;
  if (level === "soft") await sleep(BREATH_MS);
  await turn(); // a real pipeline reads its source here
}

for (let at = 0; at < ROWS; at += ROWS_PER_CALL) {
  await untilWelcome();
  await coordinator.submitMany(
    "bars",
    Array.from({ length: ROWS_PER_CALL }, (_, offset) => bar(at + offset)),
  );
}
const { inserted, unchanged, deadLettered } = await coordinator.flush();
while (level !== "ok") await changed.promise;

console.log(`heard ${["ok", "soft", "hard"].filter((each) => heard.has(each)).join(", ")}`);
console.log(`${inserted + unchanged} rows stored, ${deadLettered} given up`);

await coordinator.stop();
await subscriber.close();
await pulse.close();

function bar(minute: number): BarInput {
  const price = 100 + (minute % 50) / 10;
  return {
    ...{ vendor: "example", symbol: "PRESSURE", timeframe: "1m", volume: 1_000 },
    ts: new Date(Date.UTC(2024, 0, 2) + minute * 60_000),
    ...{ open_price: price, high_price: price + 1, low_price: price - 1, close_price: price },
  };
}
