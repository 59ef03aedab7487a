/** What every verb is given: where it writes, how it reads settings, and what the process ends with. */
import type { Command } from "commander";
import type { ConfigFlags, LoadedConfig } from "../config/load.ts";
import type { Output } from "./output.ts";

/** What the process ends with; after a signal it is 128 and the signal's number. */
export const EXIT = { done: 0, failed: 1, usage: 2, rejected: 3 } as const;

export interface Shell {
  readonly output: Output;
  /** The settings with a verb's flags; warnings about them go to stderr. */
  readonly configure: (flags: ConfigFlags) => LoadedConfig;
  /** Set by a verb that ends with something else than 0. */
  exitCode: number;
}

/** Adds a verb's arguments, flags, examples and action to its command. */
export type Verb = (command: Command, shell: Shell) => void;
