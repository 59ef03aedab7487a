/** Names are kept as vendors spell them, so one that is not found may exist in another case. Says so. */
import type { Store } from "../client/open-store.ts";

/** Names shown of those that were found. */
const MAX_SHOWN = 10;

/** One sentence naming what exists in another case; undefined when there is nothing such. */
export async function otherCaseHint(
  store: Store,
  query: { readonly vendor?: readonly string[]; readonly symbol?: readonly string[] },
  signal: AbortSignal,
): Promise<string | undefined> {
  if (query.symbol === undefined && query.vendor === undefined) return undefined;
  const found = await store.bars.series(query, { ignoreCase: true, signal });
  const names = [...new Set(found.map(({ vendor, symbol }) => `${symbol} of vendor ${vendor}`))];
  const asGiven = found.some(
    ({ vendor, symbol }) => (query.vendor?.includes(vendor) ?? true) && (query.symbol?.includes(symbol) ?? true),
  );
  if (names.length === 0 || asGiven) return undefined;
  const more = names.length > MAX_SHOWN ? ` and ${names.length - MAX_SHOWN} more` : "";
  return `In another case there is ${names.slice(0, MAX_SHOWN).join(", ")}${more}; names are kept as they were given.`;
}
