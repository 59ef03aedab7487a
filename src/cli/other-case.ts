/** Names are kept as vendors spell them, so one that is not found may exist in another case. Says so. */
import type { AnyDatasetClient } from "../client/dataset-client.ts";

/** Names shown of those that were found. */
const MAX_SHOWN = 10;

/** What people are told when no row matched. */
export async function nothingFound(
  client: AnyDatasetClient,
  wanted: Readonly<Record<string, readonly string[]>>,
  signal: AbortSignal,
): Promise<string> {
  const hint = await otherCaseHint(client, wanted, signal);
  return [`No ${client.dataset.name} match.`, ...(hint ? [hint] : [])].join(" ");
}

type Names = Readonly<Record<string, string>>;

/** One sentence naming what exists in another case; undefined when there is nothing such. */
export async function otherCaseHint(
  client: AnyDatasetClient,
  wanted: Readonly<Record<string, readonly string[]>>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const texts = client.dataset.dimensions.filter(({ name, type }) => type === "text" && name in wanted);
  if (texts.length === 0) return undefined;
  const found = await client.series(wanted, { ignoreCase: true, signal });
  const isAsGiven = (series: Names): boolean => texts.every(({ name }) => wanted[name]!.includes(series[name]!));
  if (found.length === 0 || found.some(isAsGiven)) return undefined;
  const names = [...new Set(found.map(nameOf))];
  const more = names.length > MAX_SHOWN ? ` and ${names.length - MAX_SHOWN} more` : "";
  return `In another case there is ${names.slice(0, MAX_SHOWN).join(", ")}${more}; names are kept as they were given.`;
}

function nameOf({ vendor, symbol, name }: Names): string {
  const signal = name === undefined ? "" : `${name} of `;
  return symbol === undefined ? `vendor ${vendor}` : `${signal}${symbol} of vendor ${vendor}`;
}
