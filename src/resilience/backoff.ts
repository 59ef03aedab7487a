/** How long to wait before the next try: exponential, with jitter, so that those who failed together do not come back together. */

/** A retry's pace. */
export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  readonly multiplier: number;
  /** Takes a random part of the upper half off. */
  readonly jitter: boolean;
}

/**
 * @param failures - How often it has failed so far, from 1.
 * @param random - Gives numbers from 0 to below 1.
 */
export function backoffMs(options: BackoffOptions, failures: number, random: () => number = Math.random): number {
  const whole = Math.min(options.maxMs, options.initialMs * options.multiplier ** (failures - 1));
  return options.jitter ? whole / 2 + (whole / 2) * random() : whole;
}
