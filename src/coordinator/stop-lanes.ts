/**
 * The end of a coordinator: no new rows, a drain within a time, and then every row that is left goes where the mode
 * promises it. The report says how many went where; it is never silent about a row.
 */
import { StoreError } from "../errors/store-error.ts";
import type { Clock } from "../resilience/clock.ts";
import type { Accounts } from "./accounts.ts";
import type { DeadLetter } from "./dead-letters/dead-letter.ts";
import type { DeadLetters } from "./dead-letters/dead-letters-port.ts";
import type { Delivery } from "./delivery.ts";
import type { Lanes } from "./lanes.ts";
import type { SpoolLog } from "./spool/spool-log-port.ts";
import type { Intake } from "./submission.ts";

export interface StopOptions {
  /** Whether to write what is held; true unless given. */
  readonly drain?: boolean;
  /** How long that may take; 10 s unless given. Handing on what is left comes on top. */
  readonly timeoutMs?: number;
}

/** What became of the rows that were held when the coordinator stopped. */
export interface StopReport {
  /** Rows that were not stored in time. */
  readonly left: number;
  /** Of those, rows that are in the dead letters now. */
  readonly deadLettered: number;
  /** Records that stay in the spool, also those that were there only. */
  readonly inSpool: number;
  /** Rows that are gone, because the dead letters could not be written. */
  readonly lost: number;
}

interface StopParts {
  readonly clock: Clock;
  readonly lanes: Lanes;
  readonly intake: Intake;
  readonly accounts: Accounts;
  readonly ending: AbortController;
  readonly delivery: Delivery;
  readonly deadLetters: DeadLetters;
  readonly spool: SpoolLog | undefined;
  readonly onDraining: (endsAt: number) => void;
  readonly onStopped: () => void;
}

const DEFAULT_TIMEOUT_MS = 10_000;
/** What a sink gets to end its work after it was told to; one that does not is left alone. */
const SINK_GRACE_MS = 2_000;
/** What the dead letters get for each piece of what is left. */
const LETTERS_TIMEOUT_MS = 5_000;
const LETTERS_AT_ONCE = 5_000;

export async function stopLanes(options: StopOptions, parts: StopParts): Promise<StopReport> {
  const { lanes, intake, ending, clock, spool, accounts } = parts;
  const { drain = true, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const aborted = new Promise<void>((resolve) => {
    ending.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  if (!drain) ending.abort(stopped());
  const cancel = clock.after(timeoutMs, () => ending.abort(stopped()));
  parts.onDraining(clock.now() + timeoutMs);
  await Promise.race([intake.close(), aborted]);
  lanes.flushTo(Number.POSITIVE_INFINITY);
  await Promise.race([lanes.emptied(), aborted]);
  cancel();
  ending.abort(stopped());
  await withinTime(clock, SINK_GRACE_MS, lanes.settled());
  parts.onStopped();
  const groups = lanes.takeLeft();
  lanes.release(lanes.held);
  if (spool !== undefined) {
    const left = groups.reduce((sum, { rows, done }) => sum + rows.length - done, 0);
    return { left, deadLettered: 0, inSpool: spool.depth, lost: 0 };
  }
  const { code, message } = stopped();
  const letters = groups.flatMap((group) => parts.delivery.lettersOf(group, { code, message, attempts: 0 }));
  const deadLettered = await keepLetters(letters, parts);
  accounts.add(undefined, deadLettered);
  const left = letters.length;
  if (deadLettered === left) accounts.settle(() => Number.POSITIVE_INFINITY);
  return { left, deadLettered, inSpool: 0, lost: left - deadLettered };
}

function stopped(): StoreError {
  return new StoreError("shutting_down", "The coordinator stopped before the row was stored.");
}

/** How many of the letters are durable: from the first, without a gap. */
async function keepLetters(letters: readonly DeadLetter[], { deadLetters, clock }: StopParts): Promise<number> {
  let kept = 0;
  while (kept < letters.length) {
    const piece = letters.slice(kept, kept + LETTERS_AT_ONCE);
    const isKept = await withinTime(clock, LETTERS_TIMEOUT_MS, deadLetters.append(piece));
    if (!isKept) return kept;
    kept += piece.length;
  }
  return kept;
}

/** True when the work succeeded in time. */
async function withinTime(clock: Clock, timeoutMs: number, work: Promise<unknown>): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const cancel = clock.after(timeoutMs, () => late.resolve(false));
  const done = work.then(
    () => true,
    () => false,
  );
  const isDone = await Promise.race([done, late.promise]);
  cancel();
  return isDone;
}
