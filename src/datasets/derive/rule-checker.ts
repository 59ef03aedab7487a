/** Checks a dataset's rules over several values on rows in memory; the database checks the same on what it stores. */
import type { DatasetShape, Rejection, RowRule } from "../dataset.ts";
import type { ValueBuffer } from "./row-batch.ts";

interface BoundRule {
  readonly rule: RowRule;
  readonly slots: readonly number[];
  /** The bits of its columns; where one is absent the rule is left to the database. */
  readonly bits: number;
  /** What the rule is called with, filled anew for each row: an array for each would cost more than the rule itself. */
  readonly values: number[];
}

export class RuleChecker {
  readonly #rules: readonly BoundRule[];

  constructor(dataset: DatasetShape) {
    this.#rules = dataset.rules.map((rule) => {
      const slots = rule.columns.map((name) => dataset.values.findIndex((value) => value.name === name));
      const bits = slots.reduce((sum, slot) => sum | (1 << slot), 0);
      return { rule, slots, bits, values: new Array<number>(slots.length).fill(0) };
    });
  }

  /** The first rule that row `at` breaks, among those all of whose columns are in `present`. */
  broken(columns: readonly ValueBuffer[], at: number, present: number): Rejection | undefined {
    for (const { rule, slots, bits, values } of this.#rules) {
      if ((present & bits) !== bits) continue;
      for (let place = 0; place < slots.length; place++) values[place] = columns[slots[place]!]!.values[at] as number;
      const message = rule.broken(...values);
      if (message !== undefined) return { code: rule.code, message };
    }
    return undefined;
  }
}
