/**
 * The event bus: how many events a local Redis takes, and what publishing costs a producer: a coordinator under pressure
 * whose sink does nothing, with its feedback published and without.
 */
import { WriteCoordinator } from "../../coordinator/write-coordinator.ts";
import type { BarInput } from "../../datasets/bars.ts";
import { FeedbackBus } from "../../feedback/feedback-bus.ts";
import { PulsePublisher } from "../../feedback/pulse-publisher.ts";
import type { RedisBus } from "../../feedback/redis-bus.ts";
import { StoreMetrics } from "../../telemetry/metrics.ts";
import { PulseMetrics } from "../../telemetry/pulse-metrics.ts";
import { generateMarket } from "../generate-market.ts";
import { goOn, median, repeat, spread } from "../measure.ts";
import { type RedisProcess, startRedisProcess } from "../redis-process.ts";
import { type BenchContext, type Figure, type Scenario, type ScenarioReport, SEED, SYMBOLS } from "../scenario.ts";

const EVENTS = 200_000;
/** Under way together; below the bus's own buffer, so that none is dropped. */
const EVENTS_UNDER_WAY = 5_000;
const EVENTS_PER_SECOND = 50_000;
const RATIO = 0.97;
/** Handed over several times: what is measured should take long beside what disturbs it. */
const ROWS = 500_000;
const PASSES = 4;
const ROWS_PER_CALL = 1_000;
/** As many as a coordinator holds by default: each burst crosses both watermarks on its way up and down. */
const ROWS_PER_BURST = 32_000;
/** More than elsewhere: a few per cent are asked for, and that is what one run differs from the next. */
const ROUNDS = 9;
const TENANT = "00000000-0000-4000-8000-000000000001";

export const pulse: Scenario = {
  name: "pulse",
  title: "events to a local Redis, and what publishing costs a coordinator",
  async run(context) {
    const redis = await startRedisProcess();
    if (redis === undefined) {
      return { figures: [], targets: [], notes: ["Not measured: redis-server is not installed here."] };
    }
    try {
      return await measure(context, redis);
    } finally {
      await redis.stop();
    }
  },
};

async function measure(context: BenchContext, redis: RedisProcess): Promise<ScenarioReport> {
  const bus = await redis.openBus();
  const taken = await repeat(3, context.signal, () => publishAll(bus));
  const eventsPerSecond = Math.round(EVENTS / (median(taken) / 1_000));
  const { figures, ratio } = await compare(context, bus);
  await bus.close();
  const published: Figure = {
    what: "events published",
    per_s: eventsPerSecond,
    spread_percent: Math.round(spread(taken) * 100),
    events: EVENTS,
  };
  return {
    figures: [published, ...figures],
    targets: [
      {
        text: `${EVENTS_PER_SECOND} events/s to a local Redis: ${eventsPerSecond}`,
        met: eventsPerSecond >= EVENTS_PER_SECOND,
      },
      { text: `with Pulse at least ${RATIO} of the rows/s without: ${ratio.toFixed(3)}`, met: ratio >= RATIO },
    ],
    notes: [
      "The coordinator crosses its watermarks a thousand times a second, far more often than one that stores its rows.",
      "Redis has a core of its own only where there are more than two.",
    ],
  };
}

async function publishAll(bus: RedisBus): Promise<void> {
  const metrics = new PulseMetrics(new StoreMetrics().registry);
  let outcomes = 0;
  const counted: Pick<RedisBus, "publish"> = {
    publish: (stream, event) => {
      const outcome = bus.publish(stream, event);
      void outcome.then(() => {
        outcomes++;
      });
      return outcome;
    },
  };
  const publisher = new PulsePublisher({
    bus: counted,
    namespace: "bench",
    track: "v1",
    metrics,
  });
  for (let at = 0; at < EVENTS; ) {
    while (at < EVENTS && at - outcomes < EVENTS_UNDER_WAY) publisher.deliver(feedbackAt(at++));
    await new Promise((resolve) => void setImmediate(resolve));
  }
  while (outcomes < EVENTS) await new Promise((resolve) => void setImmediate(resolve));
}

function feedbackAt(at: number): Parameters<PulsePublisher["deliver"]>[0] {
  return {
    ...{ coordinator_id: "bench", queue_size: at % 10_000, capacity: 10_000, level: "soft", source: "store" },
    ...{ ts: Date.now() / 1_000, reason: "queue_filling", utilization: (at % 10_000) / 10_000 },
  };
}

/** In turns, so that what disturbs one disturbs the other. */
async function compare(
  { signal }: BenchContext,
  bus: RedisBus,
): Promise<{ readonly figures: readonly Figure[]; readonly ratio: number }> {
  const minutes = Math.ceil(ROWS / SYMBOLS);
  const rows = [...generateMarket({ symbols: SYMBOLS, minutes, seed: SEED, order: "time" })].slice(0, ROWS);
  const metrics = new PulseMetrics(new StoreMetrics().registry);
  const publisher = new PulsePublisher({ bus, namespace: "bench", track: "v1", metrics });
  const taken = { without: [] as number[], with: [] as number[] };
  let events = 0;
  for (let round = 0; round <= ROUNDS; round++) {
    for (const variant of ["without", "with"] as const) {
      goOn(signal);
      const feedback = new FeedbackBus();
      let crossings = 0;
      const count = { name: "bench", deliver: () => void crossings++ };
      feedback.subscribe(variant === "with" ? { ...count, deliver: (event) => publisher.deliver(event) } : count);
      const [ms] = await repeat(1, signal, () => coordinate(rows, feedback));
      if (round === 0) continue; // while the code is still compiled
      taken[variant].push(ms!);
      events = Math.max(events, crossings);
    }
  }
  const figure = (what: string, times: readonly number[]): Figure => ({
    what,
    per_s: Math.round((PASSES * ROWS) / (median(times) / 1_000)),
    spread_percent: Math.round(spread(times) * 100),
    events,
  });
  return {
    figures: [figure("rows, feedback not published", taken.without), figure("rows, feedback published", taken.with)],
    ratio: median(taken.without) / median(taken.with),
  };
}

async function coordinate(rows: readonly BarInput[], feedback: FeedbackBus): Promise<void> {
  const sink = {
    name: "bars",
    write: async (batch: { readonly rows: readonly unknown[] }) => {
      await new Promise((resolve) => void setImmediate(resolve));
      return { inserted: batch.rows.length, updated: 0, unchanged: 0, superseded: 0, rejections: [] };
    },
  };
  const nothing = async (): Promise<void> => undefined;
  const coordinator = new WriteCoordinator({
    ...{ id: "bench", tenantId: TENANT, sinks: { bars: sink }, feedback },
    deadLetters: { append: nothing, close: nothing },
  });
  for (let pass = 0; pass < PASSES; pass++) {
    for (let at = 0; at < rows.length; at += ROWS_PER_CALL) {
      await coordinator.submitMany("bars", rows.slice(at, at + ROWS_PER_CALL));
      if ((at + ROWS_PER_CALL) % ROWS_PER_BURST === 0) await coordinator.flush();
    }
  }
  await coordinator.flush();
  await coordinator.stop();
  await feedback.drained();
}
