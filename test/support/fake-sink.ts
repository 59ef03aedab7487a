/** A sink that a test holds in its hand, and dead letters in memory. */
import type { DeadLetter } from "../../src/coordinator/dead-letters/dead-letter.ts";
import type { DeadLetters } from "../../src/coordinator/dead-letters/dead-letters-port.ts";
import type { Sink, SinkBatch, SinkOutcome } from "../../src/sinks/sink.ts";

type Write = (batch: SinkBatch, signal: AbortSignal) => Promise<void> | void;

/** Stores what `write` lets through. */
export class FakeSink implements Sink {
  readonly name = "bars";
  readonly batches: SinkBatch[] = [];
  /** Calls, also failed ones. */
  calls = 0;
  write: Sink["write"];

  constructor(write: Write = () => {}) {
    this.write = async (batch, signal): Promise<SinkOutcome> => {
      this.calls++;
      await write(batch, signal);
      this.batches.push(batch);
      return { inserted: batch.rows.length, updated: 0, unchanged: 0, superseded: 0, rejections: [] };
    };
  }

  get rows(): readonly unknown[] {
    return this.batches.flatMap(({ rows }) => rows);
  }
}

export class FakeDeadLetters implements DeadLetters {
  readonly letters: DeadLetter[] = [];

  async append(letters: readonly DeadLetter[]): Promise<void> {
    this.letters.push(...letters);
  }

  async close(): Promise<void> {}
}

/** A row of a key, by its number. */
export const fakeRow = (at: number, symbol = "A"): Record<string, unknown> => ({ vendor: "v", symbol, at });
