/** What a coordinator says about itself. */
import type { FeedbackLevel } from "../contracts/feedback-event.ts";
import type { CircuitState } from "../resilience/circuit-breaker.ts";
import type { RowCounts } from "./accounts.ts";

export interface CoordinatorHealth {
  readonly state: "running" | "stopping" | "stopped";
  readonly workersAlive: number;
  /** Rows that are held: accepted and neither stored nor given up. */
  readonly queueSize: number;
  readonly capacity: number;
  readonly level: FeedbackLevel;
  readonly circuit: CircuitState;
  /** Calls of producers that wait for room. */
  readonly waitingSubmissions: number;
  /** All rows since the start, by what became of them. */
  readonly rows: RowCounts;
  readonly spool:
    | {
        /** Records that are accepted and not acknowledged. */
        readonly depth: number;
        readonly bytes: number;
        readonly maxBytes: number;
        /** Milliseconds since the epoch. */
        readonly oldestAcceptedAt: number | undefined;
        /** Why nothing can be accepted, if so. */
        readonly fault: string | undefined;
        /** Whether rows are on disk that are not in memory: left by an outage or an earlier process. */
        readonly isBehind: boolean;
      }
    | undefined;
}
