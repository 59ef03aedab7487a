/** Gives a task a deadline: a signal to end by, and an answer by then even when the task does not heed it. */
import { StoreError } from "../errors/store-error.ts";

/**
 * What the task returns, if it does so in time.
 * @throws StoreError `deadline_exceeded` after `timeoutMs`, which is also the reason of the task's signal.
 */
export async function withDeadline<T>(timeoutMs: number, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const error = new StoreError("deadline_exceeded", `There was no answer within ${timeoutMs} ms.`);
    // Rejects first: a task that ends by throwing when its signal is aborted must not decide the error.
    late.reject(error);
    controller.abort(error);
  }, timeoutMs);
  try {
    return await Promise.race([late.promise, task(controller.signal)]);
  } finally {
    clearTimeout(timer);
  }
}
