/**
 * A kind of fault. It is put into a laboratory whose producer is submitting rows; it mends what it broke, but not the
 * process: that one may be dead or stopped afterwards.
 */
import { setTimeout as wait } from "node:timers/promises";
import type { SeededRandom } from "../simulation/seeded-random.ts";
import type { Laboratory } from "./laboratory.ts";
import type { Violation } from "./ledger.ts";
import type { Life, Load } from "./producer-messages.ts";

export interface FaultKind {
  readonly name: string;
  /** What the coordinator must be opened with. */
  readonly life?: (laboratory: Laboratory, random: SeededRandom) => Partial<Life>;
  /** Whether a coordinator without a spool promises to survive it. */
  readonly inMemoryToo?: boolean;
  readonly needsSmallDisk?: boolean;
  /** What is special about the rows. */
  readonly load?: Partial<Load>;
  /** What it returns it found wrong itself. */
  readonly run: (laboratory: Laboratory, random: SeededRandom) => Promise<readonly Violation[]> | Promise<void>;
}

/** A pause of up to so many milliseconds: the moment of a fault is what is varied. */
export const soon = (random: SeededRandom, most: number): Promise<void> => wait(random.whole(0, most));
