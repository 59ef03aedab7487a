/**
 * A process that submits rows to a coordinator and notes in the oracle what became of them, until it is told to stop or
 * killed. Started with `fork`; its arguments are the oracle's file, the folders that faults may touch, and a folder for
 * removed files.
 */
import { readdirSync, readlinkSync } from "node:fs";
import { setImmediate as turn, setTimeout as wait } from "node:timers/promises";
import { DeadLetterWriter } from "../../src/coordinator/dead-letters/dead-letter-writer.ts";
import type { DiskSpool } from "../../src/coordinator/spool/disk-spool.ts";
import { openSpool } from "../../src/coordinator/spool/open-spool.ts";
import { WriteCoordinator } from "../../src/coordinator/write-coordinator.ts";
import { messageOf, StoreError } from "../../src/errors/store-error.ts";
import { FeedbackBus } from "../../src/feedback/feedback-bus.ts";
import { HttpWebhook } from "../../src/feedback/http-webhook.ts";
import { SYSTEM_CLOCK } from "../../src/resilience/clock.ts";
import { type DatasetSinks, openSinks } from "../../src/sinks/open-sinks.ts";
import type { Sink } from "../../src/sinks/sink.ts";
import { SeededRandom } from "../simulation/seeded-random.ts";
import { CrashPoints } from "./crash-points.ts";
import { OracleWriter } from "./oracle.ts";
import type { Answer, Life, Load, Order, Replied, Sent } from "./producer-messages.ts";
import { DATASET_ORDER, POISON, type RowFacts, sampleRow } from "./sample-rows.ts";

const REPEATED_SERIES = 6;
const REPEATED_MINUTES = 8;
/** Rows of one series lie in many partitions. */
const MINUTES_APART = 43_000;
const SIGTERM_DRAIN_MS = 500;
/** Short, because some faults end by it. */
const STATEMENT_TIMEOUT_MS = 1_000;

const ignore = (): void => undefined;
const silent = { info: ignore, warn: ignore, error: ignore };

class Producer {
  readonly #oracle: OracleWriter;
  readonly #points: CrashPoints;
  readonly #folders: readonly string[];
  #life: Life | undefined;
  #coordinator: WriteCoordinator | undefined;
  #spool: DiskSpool | undefined;
  #clockJumpMs = 0;
  #number = 1;
  #isPaused = false;
  #failures: Record<string, number> = {};
  #producing: Promise<unknown> = Promise.resolve();

  constructor(oracle: OracleWriter, points: CrashPoints, folders: readonly string[]) {
    this.#oracle = oracle;
    this.#points = points;
    this.#folders = folders;
  }

  /** Does as told; never throws. */
  async obey(order: Order): Promise<Answer> {
    try {
      const stopped = await this.#obey(order);
      return { ...this.#state(), ...(stopped && { stopped }) };
    } catch (error) {
      const code = error instanceof StoreError ? error.code : "unknown";
      return { ...this.#state(), failed: { code, message: messageOf(error) } };
    }
  }

  async #obey(order: Order) {
    switch (order.do) {
      case "open":
        await this.#open(order.life);
        return undefined;
      case "produce":
        return this.#produce(order.load);
      case "flush":
        await this.#flush();
        return undefined;
      case "stop":
        return this.stop(order.options);
      case "arm":
        return this.#points.arm(order.crash);
      case "power":
        return this.#points.cutPower(order.seed);
      case "clock":
        this.#clockJumpMs += order.jumpMs;
        return undefined;
      default:
        return undefined;
    }
  }

  #state(): Answer {
    const health = this.#coordinator?.health();
    return {
      depth: this.#spool?.depth ?? 0,
      circuit: health?.circuit ?? "none",
      openFiles: openFilesIn(this.#folders),
      failures: this.#takeFailures(),
    };
  }

  #takeFailures(): Record<string, number> {
    const failures = this.#failures;
    this.#failures = {};
    return failures;
  }

  /** The sinks, with a count of what they fail with. */
  #counted(sinks: DatasetSinks): DatasetSinks {
    const counted = Object.entries(sinks).map(([name, sink]) => {
      const write: Sink["write"] = (batch, signal) =>
        sink.write(batch, signal).catch((error: StoreError) => {
          this.#failures[error.code] = (this.#failures[error.code] ?? 0) + 1;
          throw error;
        });
      return [name, { name, write }] as const;
    });
    return Object.fromEntries(counted) as unknown as DatasetSinks;
  }

  async #open(life: Life): Promise<void> {
    this.#life = life;
    this.#points.arm(life.crash);
    const { workers, batchRows, flushIntervalMs, spoolFolder, lettersFolder } = life;
    const sinks = await openSinks({ url: life.url, timeoutMs: STATEMENT_TIMEOUT_MS }, { workers, batchRows });
    const deadLetters = new DeadLetterWriter({ folder: lettersFolder, maxFileBytes: 20_000 });
    const feedback = new FeedbackBus();
    if (life.webhook !== undefined) {
      feedback.subscribe(new HttpWebhook({ endpoint: life.webhook, timeoutMs: 100, maxRetries: 1, backoffMs: 10 }));
    }
    try {
      this.#spool =
        spoolFolder === undefined
          ? undefined
          : await openSpool({
              folder: spoolFolder,
              maxBytes: life.maxSpoolBytes,
              segmentBytes: life.segmentBytes,
              log: silent,
            });
    } catch (error) {
      await sinks.close();
      throw error;
    }
    const spool = this.#spool;
    this.#coordinator = new WriteCoordinator({
      ...{ sinks: this.#counted(sinks.sinks), tenantId: sinks.tenantId, deadLetters, spool, feedback },
      ...{ workers, batchRows, flushIntervalMs, capacity: 4 * workers * batchRows },
      retry: { maxAttempts: 10, initialMs: 2, maxMs: 50 },
      breaker: { failuresToOpen: 3, halfOpenAfterMs: 40 },
      clock: { ...SYSTEM_CLOCK, epochMs: () => Date.now() + this.#clockJumpMs },
      onStopped: async () => {
        await Promise.allSettled([spool?.close(), deadLetters.close(), sinks.close()]);
      },
    });
  }

  #produce(load: Load): undefined {
    this.#isPaused = false;
    this.#number = Math.max(this.#number, load.firstNumber);
    const random = new SeededRandom(load.seed);
    const budget = { rows: load.rows };
    const coordinator = this.#coordinator!;
    const callers = Array.from({ length: load.callers }, () => this.#call(coordinator, load, random, budget));
    this.#producing = Promise.all([this.#producing, ...callers]);
    return undefined;
  }

  async #call(
    coordinator: WriteCoordinator,
    load: Load,
    random: SeededRandom,
    budget: { rows: number },
  ): Promise<void> {
    while (budget.rows > 0 && !this.#isPaused) {
      const dataset = random.pick(load.datasets);
      const tenant = random.pick(load.writeFor);
      const count = Math.min(budget.rows, random.chance(0.1) ? random.whole(1, 120) : random.whole(1, 20));
      budget.rows -= count;
      const rows = Array.from({ length: count }, () => this.#nextRow(load, random, dataset, tenant));
      const call = this.#number++;
      this.#oracle.write({ called: call, life: this.#life!.id, rows });
      await coordinator
        .submitMany(DATASET_ORDER[dataset]!, rows.map(sampleRow), { tenantId: load.tenants[tenant]! })
        .then(
          () => this.#oracle.write({ answered: call, accepted: count }),
          (error: StoreError) => {
            this.#oracle.write({ answered: call, accepted: Number(error.details["accepted"]), code: error.code });
            return wait(5); // Whoever is refused does not come back at once.
          },
        );
      if (load.pauseMs === 0) await turn();
      else await wait(random.whole(0, load.pauseMs));
    }
  }

  #nextRow(load: Load, random: SeededRandom, dataset: number, tenant: number): RowFacts {
    const version = this.#number++;
    const invalidUpTo = load.poison / 2;
    const chance = random.next();
    const poison = chance < invalidUpTo ? POISON.invalid : chance < load.poison ? POISON.refused : POISON.none;
    if (load.series !== undefined && random.chance(0.5))
      return [dataset, tenant, load.series, version, version, poison];
    if (random.chance(load.fresh)) return [dataset, tenant, 0, version, version, poison];
    const minute = -MINUTES_APART * random.whole(1, REPEATED_MINUTES);
    return [dataset, tenant, random.whole(1, REPEATED_SERIES), minute, version, poison];
  }

  async #flush(): Promise<void> {
    this.#isPaused = true;
    await this.#producing;
    await this.#coordinator!.flush();
  }

  async stop(options: { readonly drain?: boolean; readonly timeoutMs?: number }) {
    this.#isPaused = true;
    const report = await this.#coordinator?.stop(options);
    await this.#producing;
    this.#coordinator = undefined;
    this.#spool = undefined;
    return report;
  }
}

function openFilesIn(folders: readonly string[]): number {
  let open = 0;
  for (const file of readdirSync("/proc/self/fd")) {
    try {
      const target = readlinkSync(`/proc/self/fd/${file}`);
      if (folders.some((folder) => target.startsWith(`${folder}/`))) open++;
    } catch {} // It was the listing itself.
  }
  return open;
}

async function main(oraclePath: string, trash: string, folders: readonly string[]): Promise<void> {
  const points = await CrashPoints.install(folders, trash);
  const producer = new Producer(new OracleWriter(oraclePath), points, folders);
  process.on("SIGTERM", () => {
    void producer.stop({ timeoutMs: SIGTERM_DRAIN_MS }).then(() => process.disconnect());
  });
  process.on("message", ({ id, order }: Sent) => {
    void producer.obey(order).then((answer) => {
      if (process.connected) process.send?.({ id, answer } satisfies Replied);
    });
  });
  process.send?.("ready");
}

const [oraclePath, trash, ...folders] = process.argv.slice(2);
if (trash !== undefined) await main(oraclePath!, trash, folders);
