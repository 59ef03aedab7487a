/** The laboratory's hold of a producer process: orders, answers, and its death. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Answer, Order, Replied } from "./producer-messages.ts";

const PROGRAM = fileURLToPath(new URL("producer-process.ts", import.meta.url));

export class ProducerHandle {
  readonly #child: ChildProcess;
  readonly #ready: Promise<unknown>;
  readonly #waiting = new Map<number, (answer: Answer | undefined) => void>();
  readonly #onAnswer: (answer: Answer) => void;
  #orders = 0;
  readonly gone: Promise<unknown>;

  /** @param cacheFolder - Keeps compiled sources, which makes the next process begin three times as fast. */
  constructor(cacheFolder: string, parameters: readonly string[], onAnswer: (answer: Answer) => void) {
    this.#onAnswer = onAnswer;
    this.#child = fork(PROGRAM, parameters, { execArgv: [], env: { NODE_COMPILE_CACHE: cacheFolder } });
    this.gone = once(this.#child, "exit").then(() => {
      for (const resolve of this.#waiting.values()) resolve(undefined);
      this.#waiting.clear();
    });
    this.#ready = Promise.race([once(this.#child, "message"), this.gone]);
    this.#child.on("message", (message: Replied | "ready") => {
      if (message === "ready") return;
      this.#onAnswer(message.answer);
      this.#waiting.get(message.id)?.(message.answer);
      this.#waiting.delete(message.id);
    });
    this.#child.on("error", () => undefined); // Its channel breaks when it is killed.
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.#child.kill(signal);
  }

  /** The answer; undefined when the process died before, "late" when there was none in time. */
  async send(order: Order): Promise<Answer | undefined>;
  async send(order: Order, timeoutMs: number): Promise<Answer | "late" | undefined>;
  async send(order: Order, timeoutMs?: number): Promise<Answer | "late" | undefined> {
    await this.#ready;
    if (!this.isAlive) return undefined;
    const id = ++this.#orders;
    const answer = new Promise<Answer | undefined>((resolve) => this.#waiting.set(id, resolve));
    this.#child.send({ id, order }, () => undefined);
    if (timeoutMs === undefined) return answer;
    const ending = new AbortController();
    const late = wait(timeoutMs, "late" as const, { signal: ending.signal }).catch(() => "late" as const);
    const first = await Promise.race([answer, late]);
    ending.abort();
    return first;
  }
}
