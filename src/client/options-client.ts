/** Option snapshots, with what only options have: the chain. */
import type { TenantScope } from "../database/session.ts";
import { type OptionSnapshot, options } from "../datasets/options.ts";
import { DatasetClient } from "./dataset-client.ts";
import { type ChainQuery, optionChain } from "./latest.ts";
import type { ReadOptions } from "./window.ts";

export class OptionsClient extends DatasetClient<typeof options> {
  readonly #scope: TenantScope;

  constructor(scope: TenantScope) {
    super(scope, options);
    this.#scope = scope;
  }

  /** All contracts of an underlying that had not expired at a moment, each with its newest snapshot not after it. */
  chain(query: ChainQuery, readOptions?: ReadOptions): Promise<OptionSnapshot[]> {
    return optionChain(this.#scope, query, readOptions);
  }
}
