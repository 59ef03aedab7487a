/** Signals, with what only signals have: the latest of each, and a summary of a window. */
import type { TenantScope } from "../database/session.ts";
import type { TimeInput } from "../datasets/dataset.ts";
import { type Signal, signals } from "../datasets/signals.ts";
import { DatasetClient } from "./dataset-client.ts";
import { latestSignals, type SignalQuery, type SignalSummary, summarizeSignals } from "./latest.ts";
import type { ReadOptions } from "./window.ts";

export class SignalsClient extends DatasetClient<typeof signals> {
  readonly #scope: TenantScope;

  constructor(scope: TenantScope) {
    super(scope, signals);
    this.#scope = scope;
  }

  /** The newest row of each signal. */
  latest(query: SignalQuery = {}, options?: ReadOptions): Promise<Signal[]> {
    return latestSignals(this.#scope, query, options);
  }

  /** Count, last, mean, least and greatest value of each signal in a half-open window. */
  summary(
    query: SignalQuery & { readonly start: TimeInput; readonly end: TimeInput },
    options?: ReadOptions,
  ): Promise<SignalSummary[]> {
    return summarizeSignals(this.#scope, query, options);
  }
}
