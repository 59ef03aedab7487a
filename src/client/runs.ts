/**
 * The ledger of runs: each run of a job or pipeline says that it began, how far it is, that it still lives, and once how
 * it ended. A tenant's ledger and the system's never meet. It records runs; it neither starts nor stops anything.
 */
import { randomUUID } from "node:crypto";
import { withRetry } from "../database/retry.ts";
import { type RoleScope, runAsRole, runInTenant, type Statement, type TenantScope } from "../database/session.ts";
import { showValue } from "../datasets/values/show-value.ts";
import { requireFields } from "../errors/require-fields.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";
import {
  DETAIL_COLUMNS,
  type JobRun,
  type JobRunDetail,
  RUN_COLUMNS,
  type RunMode,
  type RunStatus,
  type RunSummary,
  SUMMARY_COLUMNS,
  type SummaryRow,
  summaryOf,
} from "./job-run.ts";
import {
  filterValues,
  type NewRun,
  newRunValues,
  outcomeValues,
  progressValues,
  type RunOutcome,
  type RunProgress,
  runIdOf,
  wholeNumber,
} from "./run-input.ts";
import type { ReadOptions } from "./window.ts";

/** Which runs; what is left out may be anything. */
export interface RunFilter {
  readonly job_name?: string;
  readonly provider?: string;
  readonly dataset?: string;
  readonly mode?: RunMode;
  readonly status?: RunStatus;
  /** At most so many, 1 to 1,000; 100 unless given. */
  readonly limit?: number;
}

export interface PruneOptions extends ReadOptions {
  /** Only counts. */
  readonly dryRun?: boolean;
}

const DEFAULT_LIMIT = 100;
/** A list that is longer is of no use to people; programs ask by filter. */
const MAX_LIMIT = 1_000;
/** Deleting so many rows takes milliseconds, so that nothing else waits for the locks. */
const PRUNE_ROWS = 1_000;
const MAX_HOURS = 876_000;
const MAX_TIMEOUT_MS = MAX_HOURS * 3_600_000;
const FILTERS = ["job_name", "provider", "dataset", "mode", "status"];

/** One tenant's runs, or the system's. */
export class Runs {
  readonly #scope: TenantScope | RoleScope;

  /** @internal Use `store.runs`; the system's ledger has the scope of the role mds_admin. */
  constructor(scope: TenantScope | RoleScope) {
    this.#scope = scope;
  }

  /** Begins a run. */
  async start(run: NewRun, options?: ReadOptions): Promise<JobRun> {
    const values = newRunValues(run);
    return this.#one("start_run", [runIdOf(run.run_id ?? randomUUID()), ...values], options);
  }

  /**
   * Adds to a run in one step, whoever else does so at the same time; counts as a heartbeat. A call whose answer was
   * lost is repeated here and counted once; after an error whose `retryable` is true it may or may not have counted.
   *
   * @throws StoreError `run_unknown`, also for another tenant's run; `run_finished`.
   */
  async progress(runId: string, progress: RunProgress, options?: ReadOptions): Promise<JobRun> {
    return this.#one("progress_run", [runIdOf(runId), ...progressValues(progress), randomUUID()], options);
  }

  /**
   * Says that a run still lives.
   *
   * @throws StoreError `run_unknown`, also for another tenant's run; `run_finished`.
   */
  async heartbeat(runId: string, options?: ReadOptions): Promise<void> {
    await this.#rows("select mds.heartbeat_run($1)", [runIdOf(runId)], options);
  }

  /**
   * Ends a run, with its last progress. Nothing changes it afterwards.
   *
   * @throws StoreError `run_unknown`, also for another tenant's run; `run_finished`, and the run stays as it is.
   */
  async complete(runId: string, outcome: RunOutcome = {}, options?: ReadOptions): Promise<JobRun> {
    return this.#one("complete_run", [runIdOf(runId), ...outcomeValues(outcome), randomUUID()], options);
  }

  /** Ends a run as failed, for the reason that was thrown; else as `complete`. */
  async fail(runId: string, reason: unknown, progress: RunProgress = {}, options?: ReadOptions): Promise<JobRun> {
    return this.complete(runId, { ...progress, status: "failed", error: messageOf(reason) }, options);
  }

  /** The newest runs first. */
  async recent(filter: RunFilter = {}, options?: ReadOptions): Promise<JobRun[]> {
    const names = filterValues(filter, FILTERS);
    const values = [wholeNumber("limit", filter.limit ?? DEFAULT_LIMIT, MAX_LIMIT), ...names];
    return this.#rows(
      `select ${RUN_COLUMNS} from mds.recent_runs($1::int4, $2::text, $3::text, $4::text, $5::text, $6::text)`,
      values,
      options,
    );
  }

  /**
   * One run, with its symbols and metadata.
   *
   * @throws StoreError `run_unknown`, also for another tenant's run.
   */
  async get(runId: string, options?: ReadOptions): Promise<JobRunDetail> {
    const text = `select ${DETAIL_COLUMNS} from mds.get_run($1)`;
    return (await this.#rows<JobRunDetail>(text, [runIdOf(runId)], options))[0]!;
  }

  /**
   * Runs that are said to be running and were not heard of for so long, by the database's clock; the longest silence
   * first, at most 1,000.
   */
  async stuck(timeoutMs: number, options?: ReadOptions): Promise<JobRun[]> {
    return this.#rows(
      `select ${RUN_COLUMNS} from mds.stuck_runs($1::float8 * interval '1 millisecond', $2)`,
      [wholeNumber("timeoutMs", timeoutMs, MAX_TIMEOUT_MS), MAX_LIMIT],
      options,
    );
  }

  /**
   * Deletes finished runs that ended more than so many days (of 24 hours) ago, a thousand at a time; a running one is
   * never deleted.
   *
   * @returns How many were deleted, or would be with `dryRun`.
   */
  async prune(days: number, given: PruneOptions = {}): Promise<bigint> {
    requireFields("prune", given, ["dryRun", "signal"]);
    const { dryRun = false, ...options } = given;
    if (typeof dryRun !== "boolean") {
      throw new StoreError("usage", `dryRun is ${showValue(dryRun)}; it must be true or false.`);
    }
    const period = wholeNumber("days", days);
    if (dryRun) {
      const [row] = await this.#rows<{ count: bigint }>(
        "select mds.count_prunable_runs($1) as count",
        [period],
        options,
      );
      return row!.count;
    }
    for (let total = 0n; ; ) {
      const [row] = await this.#rows<{ count: bigint }>(
        "select mds.prune_runs($1, $2) as count",
        [period, PRUNE_ROWS],
        options,
      );
      total += row!.count;
      if (row!.count < PRUNE_ROWS) return total;
    }
  }

  /** Runs that ended in the last so many hours or are still running, by job, provider and mode. */
  async summary(hours: number, options?: ReadOptions): Promise<RunSummary[]> {
    const rows = await this.#rows<SummaryRow>(
      `select ${SUMMARY_COLUMNS} from mds.summarize_runs($1)`,
      [wholeNumber("hours", hours, MAX_HOURS)],
      options,
    );
    return rows.map(summaryOf);
  }

  async #one(name: string, values: unknown[], options?: ReadOptions): Promise<JobRun> {
    const parameters = values.map((_, at) => `$${at + 1}`).join(", ");
    const rows = await this.#rows<JobRun>(`select ${RUN_COLUMNS} from mds.${name}(${parameters})`, values, options);
    return rows[0]!;
  }

  #rows<Row>(text: string, values: unknown[], options: ReadOptions = {}): Promise<Row[]> {
    requireFields("A call of the ledger", options, ["signal"]);
    const { signal } = options;
    const statement: Statement = { text, values };
    const scope = this.#scope;
    return withRetry(
      () =>
        "tenantId" in scope ? runInTenant<Row>(scope, statement, signal) : runAsRole<Row>(scope, statement, signal),
      signal,
    );
  }
}
