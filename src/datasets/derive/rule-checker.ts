/** Checks a dataset's rules over several values on rows in memory; the database checks the same on what it stores. */
import type { DatasetShape, Rejection, RowRule } from "../dataset.ts";
import type { ValueBuffer } from "./row-batch.ts";

interface BoundRule {
  readonly rule: RowRule;
  readonly slots: readonly number[];
  /** The bits of its columns; where one is absent the rule is left to the database. */
  readonly bits: number;
}

export class RuleChecker {
  readonly #rules: readonly BoundRule[];

  constructor(dataset: DatasetShape) {
    this.#rules = dataset.rules.map((rule) => {
      const slots = rule.columns.map((name) => dataset.values.findIndex((value) => value.name === name));
      return { rule, slots, bits: slots.reduce((bits, slot) => bits | (1 << slot), 0) };
    });
  }

  /** The first rule that row `at` breaks, among those all of whose columns are in `present`. */
  broken(columns: readonly ValueBuffer[], at: number, present: number): Rejection | undefined {
    for (const { rule, slots, bits } of this.#rules) {
      if ((present & bits) !== bits) continue;
      const message = rule.broken(...slots.map((slot) => columns[slot]!.values[at] as number));
      if (message !== undefined) return { code: rule.code, message };
    }
    return undefined;
  }
}
