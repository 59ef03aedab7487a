/** What the doctor finds, and what it has to look with. */
import type { Connection } from "../pool.ts";

type Severity = "error" | "warning";

/** One thing that is not as it should be. */
export interface Finding {
  /** Stable, for programs. */
  readonly code: string;
  /** An error will cost something; a warning may. */
  readonly severity: Severity;
  /** What is wrong and where, in whole sentences. */
  readonly message: string;
  /** How to mend it, in one sentence. */
  readonly remedy: string;
  /** Mends it where that is safe; says what it did. */
  readonly fix?: () => Promise<string>;
}

export interface DoctorOptions {
  /** Direct connection of the login that migrates. */
  readonly adminUrl: string;
  /** The service's login. */
  readonly serviceUrl: string;
  /** Connections that the service's pool may open. */
  readonly poolSize: number;
  /** What MDS_ENGINE asks for. */
  readonly engine?: string | undefined;
  /** Names of the jobs that have to be scheduled. */
  readonly scheduledJobs: readonly string[];
  /** This machine's clock, milliseconds since the epoch; another one in tests. */
  readonly now?: () => number;
  readonly signal?: AbortSignal;
}

/** What every check is given. */
export interface Examination extends DoctorOptions {
  readonly admin: Connection;
  readonly service: Connection;
  /** Rows of a statement over the administrator's connection, in a transaction of its own. */
  readonly ask: <Row extends object>(text: string, values?: readonly unknown[], options?: AskOptions) => Promise<Row[]>;
}

export interface AskOptions {
  /** Whether it is asked as mds_owner, who alone may read our tables. */
  readonly asOwner?: boolean;
}

/** Looks at one kind of thing. */
export type Check = (examination: Examination) => Promise<Finding[]>;

/** A list in a sentence: the first few, and how many more there are. */
export function named(names: readonly string[], atMost = 5): string {
  const more = names.length - atMost;
  return more > 0 ? `${names.slice(0, atMost).join(", ")} and ${more} more` : names.join(", ");
}
