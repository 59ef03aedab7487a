/** Time as the parts that wait see it, so that a test can hold it in its hand. Nothing here keeps an idle process busy. */

/** Where time comes from. */
export interface Clock {
  /** Milliseconds that only grow, also while the machine's clock is set; for spans. */
  now(): number;
  /** Milliseconds since the epoch; may jump when the machine's clock is set. */
  epochMs(): number;
  /** Calls once, after that many milliseconds; the function that is given back cancels it. */
  after(delayMs: number, call: () => void): () => void;
}

/** The machine's clock. Its timers keep the process alive: somebody waits for them. */
export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  epochMs: () => Date.now(),
  after: (delayMs, call) => {
    const timer = setTimeout(call, delayMs);
    return () => clearTimeout(timer);
  },
};

/**
 * Resolves after that many milliseconds.
 * @throws The signal's reason, when it is aborted before.
 */
export function pause(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal === undefined) return new Promise((resolve) => void clock.after(delayMs, resolve));
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const stop = (): void => {
      cancel();
      reject(signal.reason as Error);
    };
    const cancel = clock.after(delayMs, () => {
      signal.removeEventListener("abort", stop);
      resolve();
    });
    signal.addEventListener("abort", stop, { once: true });
  });
}
