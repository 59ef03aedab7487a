/** What the laboratory tells a producer process, and what that answers. One answer a message. */
import type { StopOptions, StopReport } from "../../src/coordinator/stop-lanes.ts";
import type { CrashPlan } from "./crash-points.ts";

/** One life of a coordinator: from opening to stop or death. */
export interface Life {
  readonly id: number;
  readonly seed: number;
  /** Undefined: acceptance in memory. */
  readonly spoolFolder: string | undefined;
  readonly lettersFolder: string;
  readonly url: string;
  readonly segmentBytes: number;
  readonly maxSpoolBytes: number;
  readonly workers: number;
  readonly batchRows: number;
  readonly flushIntervalMs: number;
  /** Where feedback goes. */
  readonly webhook: string | undefined;
  /** In force while the coordinator is opened, and after. */
  readonly crash: CrashPlan | undefined;
}

/** Rows to submit. */
export interface Load {
  readonly seed: number;
  readonly rows: number;
  readonly callers: number;
  /** Each caller waits for so long at most before its next call. */
  readonly pauseMs: number;
  /** UUIDs by their places. */
  readonly tenants: readonly string[];
  /** Places of the tenants to write for. */
  readonly writeFor: readonly number[];
  /** Places of the datasets. */
  readonly datasets: readonly number[];
  /** Series that rows of their own go to, if any. */
  readonly series: number | undefined;
  /** Part of rows with keys that come once only. */
  readonly fresh: number;
  readonly poison: number;
  /** The first of the versions, calls and minutes that have not been given out. */
  readonly firstNumber: number;
}

export type Order =
  | { readonly do: "open"; readonly life: Life }
  | { readonly do: "produce"; readonly load: Load }
  /** Ends producing, and flushes. */
  | { readonly do: "flush" }
  | { readonly do: "stop"; readonly options: StopOptions }
  | { readonly do: "arm"; readonly crash: CrashPlan | undefined }
  | { readonly do: "power"; readonly seed: number }
  | { readonly do: "clock"; readonly jumpMs: number }
  | { readonly do: "health" };

export interface Answer {
  readonly failed?: { readonly code: string; readonly message: string };
  readonly stopped?: StopReport;
  /** Records in the spool. */
  readonly depth: number;
  readonly circuit: string;
  /** Files that are open in the folders of spool and dead letters. */
  readonly openFiles: number;
  /** Writes that failed since the last answer, by their error's code. */
  readonly failures: Readonly<Record<string, number>>;
}

/** On the wire: the answer carries the order's number. */
export interface Sent {
  readonly id: number;
  readonly order: Order;
}
export interface Replied {
  readonly id: number;
  readonly answer: Answer;
}
