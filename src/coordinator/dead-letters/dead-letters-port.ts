/** Where the coordinator leaves rows that cannot be stored. The only implementation is dead-letter-files.ts. */
import type { DeadLetter } from "./dead-letter.ts";

export interface DeadLetters {
  /**
   * Keeps the letters. Resolves when they are on disk (fsynced); only then may their rows be acknowledged or forgotten.
   * Calls at the same time share an fsync. When it rejects, some may be kept all the same: call again with all of them.
   *
   * @throws StoreError `dead_letters_unavailable`.
   */
  append(letters: readonly DeadLetter[]): Promise<void>;

  /** Waits for what is being written and closes the file. */
  close(): Promise<void>;
}
