/**
 * Ctrl-C and its relatives for verbs that end: the first signal tells the work to stop in order, a second one ends the
 * process at once. `mds serve` does this in its own way.
 */
import { constants } from "node:os";
import { StoreError } from "../errors/store-error.ts";
import { EXIT, type Shell } from "./shell.ts";

/** npm passes on the Ctrl-C that the terminal has sent to us as well: two of them this close together are one. */
export const SAME_SIGNAL_MS = 500;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Runs the work; when a signal stopped it, the exit code is 128 and the signal's number. */
export async function interruptible(shell: Shell, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const stopping = new AbortController();
  let exitCode = 0;
  let firstAt = 0;
  const onSignal = (signal: (typeof SIGNALS)[number]): void => {
    if (exitCode !== 0) {
      if (performance.now() - firstAt > SAME_SIGNAL_MS) process.exit(exitCode);
      return;
    }
    firstAt = performance.now();
    exitCode = 128 + constants.signals[signal];
    stopping.abort(new StoreError("aborted", `Stopped by ${signal}.`));
  };
  const onFault = (error: Error): void => {
    shell.output.note(`mds: ${error.message} (internal)`);
    process.exit(EXIT.failed);
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  process.on("uncaughtException", onFault);
  try {
    await work(stopping.signal);
  } catch (error) {
    if (!stopping.signal.aborted || !isAbort(error)) throw error;
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
    process.off("uncaughtException", onFault);
  }
  if (exitCode !== 0) shell.exitCode = exitCode;
}

function isAbort(error: unknown): boolean {
  return error instanceof StoreError ? error.code === "aborted" : error instanceof Error && error.name === "AbortError";
}
