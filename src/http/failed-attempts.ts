/**
 * Failed attempts to get in, by address, for a minute each: how many, and with how many different tokens. Many different
 * ones are guesses, and then the address is shut out. The same wrong one again and again is a client with an old token:
 * it is only answered shortly, so that it cannot shut out others behind the same proxy. Memory is bounded.
 */

const WINDOW_MS = 60_000;
/** Nobody mistypes a token that often in a minute; a random one of 16 characters stands such guessing for ever. */
const MAX_TOKENS = 10;
const MAX_FAILURES = 10;
/** At most some hundred kB, also when somebody comes from very many addresses; the oldest are forgotten then. */
const MAX_ADDRESSES = 1_000;

interface Attempts {
  failures: number;
  /** Hashes of the tokens that were tried; at most MAX_TOKENS. */
  readonly tokens: Set<string>;
  readonly endsAt: number;
}

/** What is to be done with a failed attempt. */
type Verdict = { readonly kind: "told" } | { readonly kind: "limited"; readonly retryAfterSeconds: number };

export class FailedAttempts {
  readonly #byAddress = new Map<string, Attempts>();
  readonly #now: () => number;

  /** @param now - Milliseconds of a clock that never goes back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Seconds for which the address is shut out, whatever it brings; undefined when it is not. */
  shutOutSeconds(address: string): number | undefined {
    const attempts = this.#current(address);
    return attempts !== undefined && attempts.tokens.size >= MAX_TOKENS ? this.#secondsLeft(attempts) : undefined;
  }

  /** Notes a failed attempt. */
  note(address: string, tokenHash: string): Verdict {
    let attempts = this.#current(address);
    if (attempts === undefined) {
      attempts = { failures: 0, tokens: new Set(), endsAt: this.#now() + WINDOW_MS };
      this.#byAddress.set(address, attempts);
      this.#forgetOldest();
    }
    attempts.failures++;
    if (attempts.tokens.size < MAX_TOKENS) attempts.tokens.add(tokenHash);
    if (attempts.failures <= MAX_FAILURES) return { kind: "told" };
    return { kind: "limited", retryAfterSeconds: this.#secondsLeft(attempts) };
  }

  #current(address: string): Attempts | undefined {
    const attempts = this.#byAddress.get(address);
    if (attempts === undefined || attempts.endsAt > this.#now()) return attempts;
    this.#byAddress.delete(address);
    return undefined;
  }

  #secondsLeft({ endsAt }: Attempts): number {
    return Math.max(1, Math.ceil((endsAt - this.#now()) / 1_000));
  }

  #forgetOldest(): void {
    if (this.#byAddress.size <= MAX_ADDRESSES) return;
    for (const address of this.#byAddress.keys()) {
      this.#byAddress.delete(address);
      return;
    }
  }
}
