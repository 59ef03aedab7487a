/**
 * Runs a script of this folder: what goes wrong is told in one sentence. Ends with 2 and the usage when it was called in a
 * wrong way, with 1 when it failed; after a signal it stops in order, and a second one ends it at once. A fault of the
 * script itself, which no code names, keeps its stack.
 */
import { constants } from "node:os";
import { StoreError } from "../src/errors/store-error.ts";

export async function runScript(usage: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const ending = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      process.exitCode = 128 + constants.signals[signal];
      ending.abort();
    });
  }
  try {
    await work(ending.signal);
  } catch (error) {
    const exitCode = told(error, usage);
    process.exitCode ||= exitCode;
  }
}

/** Says it and gives the exit code. */
function told(error: unknown, usage: string): number {
  const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
  if (!(error instanceof Error) || code === undefined) {
    console.error(error);
    return 1;
  }
  const isUsage = code === "usage" || code.startsWith("ERR_PARSE_ARGS");
  // Node goes on about positional arguments.
  const sentence = error instanceof StoreError ? error.message : `${error.message.split(". ")[0]}.`;
  console.error(isUsage ? `${sentence}\nUsage: ${usage}` : sentence);
  return isUsage ? 2 : 1;
}
