/** Identical requests for a job that come at once under one Idempotency-Key: how many jobs they make, and how fast. */
import { randomBytes, randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { StoreError } from "../../errors/store-error.ts";
import { askService } from "../ask-service.ts";
import { makeTemporaryFolder } from "../bench-database.ts";
import { hasCommand, NO_COMMAND } from "../command-process.ts";
import { goOn, median, spread } from "../measure.ts";
import type { BenchContext, Scenario, ScenarioReport } from "../scenario.ts";
import { startServiceProcess } from "../service-process.ts";

const REQUESTS = 100;
/** Each with a key of its own. */
const ROUNDS = 20;
/** The job that costs least; no schedule makes it. */
const JOB = "migrate";
const RUNNER_DEADLINE_MS = 30_000;
const POLL_MS = 50;

interface Round {
  readonly ms: number;
  /** Jobs that the answers name. */
  readonly ids: ReadonlySet<string>;
  /** Requests that were not answered 202. */
  readonly failed: number;
}

export const jobs: Scenario = {
  name: "jobs",
  title: `${REQUESTS} identical requests for a job at once, under one Idempotency-Key`,
  async run(context) {
    if (!hasCommand()) return NO_COMMAND;
    const { url, adminUrl } = context.database;
    const folder = await makeTemporaryFolder();
    const token = randomBytes(16).toString("hex");
    const environment = { DATABASE_URL: url, ADMIN_DATABASE_URL: adminUrl, ADMIN_TOKEN: token };
    try {
      const service = await startServiceProcess(folder, environment);
      try {
        await service.untilReady(context.signal);
        return await measureRounds(context, `${service.url}/${JOB}`, token);
      } finally {
        await service.stop();
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function measureRounds(context: BenchContext, url: string, token: string): Promise<ScenarioReport> {
  await untilAccepting(context.signal, url, token);
  const before = await countJobs(context);
  const rounds: Round[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    goOn(context.signal);
    rounds.push(await askAtOnce(context.signal, url, token));
  }
  return report(rounds, (await countJobs(context)) - before);
}

/** The service is ready a moment before its job runner is. */
async function untilAccepting(signal: AbortSignal, url: string, token: string): Promise<void> {
  const deadline = performance.now() + RUNNER_DEADLINE_MS;
  while ((await askAtOnce(signal, url, token)).failed > 0) {
    goOn(signal);
    if (performance.now() > deadline) {
      throw new StoreError("jobs_unavailable", "The service of the benchmark accepts no jobs; `mds doctor` says why.");
    }
    await wait(POLL_MS);
  }
}

async function askAtOnce(signal: AbortSignal, url: string, token: string): Promise<Round> {
  const headers = { authorization: `Bearer ${token}`, "idempotency-key": randomUUID() };
  const startedAt = performance.now();
  const answers = await Promise.all(
    Array.from({ length: REQUESTS }, async () => {
      const { status, text } = await askService(url, signal, { method: "POST", headers });
      return status === 202 ? (JSON.parse(text) as { job_id: string }).job_id : undefined;
    }),
  );
  const ids = answers.filter((id) => id !== undefined);
  return { ms: performance.now() - startedAt, ids: new Set(ids), failed: REQUESTS - ids.length };
}

async function countJobs({ database }: BenchContext): Promise<number> {
  const text = "select count(*)::int4 as count from pgboss.job where name = $1";
  return (await database.owner.query<{ count: number }>(text, [JOB])).rows[0]!.count;
}

function report(rounds: readonly Round[], made: number): ScenarioReport {
  const rates = rounds.map(({ ms }) => (REQUESTS / ms) * 1_000);
  const failed = rounds.reduce((sum, round) => sum + round.failed, 0);
  const most = Math.max(...rounds.map(({ ids }) => ids.size));
  const figure = {
    requests: REQUESTS,
    keys: ROUNDS,
    jobs: made,
    failed,
    requests_per_s: Math.round(median(rates)),
    spread: spread(rates),
  };
  const text = `one job for each key: ${made} jobs for ${ROUNDS} keys, at most ${most} named in the answers to one`;
  return {
    figures: [figure],
    targets: [{ text, met: made === ROUNDS && most === 1 && failed === 0 }],
    notes: ["The service runs the jobs meanwhile; requests come from this process, over new and kept connections."],
  };
}
