/** Asks the service of the benchmark, with a deadline and no longer than the benchmark goes on. */
import { messageOf, StoreError } from "../errors/store-error.ts";
import { goOn } from "./measure.ts";

/** The largest body takes a second or two; a service that says nothing for so long is stuck. */
const DEADLINE_MS = 60_000;

/** @throws StoreError `aborted` when the benchmark was stopped, `service_unreachable` without an answer. */
export async function askService(
  url: string,
  signal: AbortSignal,
  request: RequestInit = {},
): Promise<{ readonly status: number; readonly text: string }> {
  try {
    const ends = AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]);
    const response = await fetch(url, { ...request, signal: ends });
    return { status: response.status, text: await response.text() };
  } catch (cause) {
    goOn(signal);
    const message = `The service of the benchmark does not answer at ${url}: ${messageOf(cause)}.`;
    throw new StoreError("service_unreachable", message, { cause });
  }
}
