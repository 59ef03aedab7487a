/**
 * `mds query DATASET`: the rows of a window as they are stored, printed as they come. Says so where bars of a timeframe
 * that was asked for are not stored but worked out of finer ones.
 */
import { Argument, type Command, Option } from "commander";
import type { AnyDatasetClient } from "../../client/dataset-client.ts";
import type { RowPage } from "../../client/read.ts";
import { DATASET_NAMES, type DatasetName } from "../../datasets/registry.ts";
import type { DumpFilter } from "../../files/dump-name.ts";
import { withStore } from "../connect.ts";
import { addExamples, addJsonFlag, addTenantFlags, type TenantFlags, wholeNumber } from "../flags.ts";
import { nothingFound } from "../other-case.ts";
import { ROW_FORMATS, type RowFormatName, rowFormat } from "../row-formats.ts";
import type { Shell } from "../shell.ts";
import { addWindowFlags, queryOf, type WindowFlags, windowFilter } from "../window-flags.ts";

/** Bytes, not text: an Arrow IPC stream. */
const ARROW = "arrow";

interface QueryFlags extends TenantFlags, WindowFlags {
  readonly limit?: number;
  readonly newestFirst?: boolean;
  readonly format: RowFormatName | typeof ARROW;
  readonly json?: boolean;
}

export function query(command: Command, shell: Shell): void {
  command.addArgument(new Argument("<dataset>", "what to read").choices(DATASET_NAMES));
  addWindowFlags(command)
    .option("--limit <rows>", "at most so many rows", wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .option("--newest-first", "within each series the newest row first")
    .addOption(
      new Option("--format <format>", "how rows are printed").choices([...ROW_FORMATS, ARROW]).default("table"),
    );
  addJsonFlag(addTenantFlags(command)).action(async (name: DatasetName, flags: QueryFlags) => {
    const filter = windowFilter([name], flags);
    await withStore(shell, shell.configure({ dsn: flags.dsn, tenant: flags.tenant }), "query", (store, signal) =>
      print(shell, store.dataset(name), filter, flags, signal),
    );
  });
  addExamples(
    command,
    "npx mds query bars --symbol BTC-USD --timeframe 1m --start 2016-10-07T00:00:00Z --limit 10",
    "npx mds query bars --vendor coinbase --format csv > bars.csv",
    "npx mds query bars --symbol BTC-USD --timeframe 1m --format arrow > bars.arrows",
    "npx mds query options --symbol AAPL --expiry 2024-06-21 --option-type C --newest-first --limit 20",
  );
}

async function print(
  shell: Shell,
  client: AnyDatasetClient,
  filter: DumpFilter,
  { limit, newestFirst, format: formatName, json }: QueryFlags,
  signal: AbortSignal,
): Promise<void> {
  const window = { ...queryOf(filter), ...(limit !== undefined && { limit }), ...(newestFirst && { newestFirst }) };
  const aggregated: Series[] = [];
  const onSeries = (series: readonly Series[]): void => {
    for (const one of series) if (one["source"] === "aggregated") aggregated.push(one);
  };
  const options = { signal, onSeries };
  const isArrow = formatName === ARROW && !json;
  const hasRows = isArrow
    ? await printArrow(shell, client.readArrow(window, options))
    : await printRows(
        shell,
        client,
        client.readPages(window, options),
        json || formatName === ARROW ? "json" : formatName,
      );
  if (shell.output.readerIsGone) return;
  if (!hasRows) shell.output.note(await nothingFound(client, filter.dimensions, signal));
  else if (aggregated.length > 0) shell.output.note(aggregatedNote(aggregated));
}

/** Whether there were rows. */
async function printRows(
  { output }: Shell,
  { dataset }: AnyDatasetClient,
  pages: AsyncIterable<RowPage>,
  formatName: RowFormatName,
): Promise<boolean> {
  const format = rowFormat(formatName, dataset);
  let count = 0;
  for await (const page of pages) {
    await output.data(format.rows(page));
    count += page.rows.length;
    if (output.readerIsGone) return true;
  }
  await output.data(format.end());
  return count > 0;
}

/** Beside rows a stream has a first piece, its schema, and a last one, its end. */
const PIECES_WITHOUT_ROWS = 2;

/** Whether there were rows. */
async function printArrow({ output }: Shell, stream: AsyncIterable<Uint8Array>): Promise<boolean> {
  let pieces = 0;
  for await (const bytes of stream) {
    pieces++;
    await output.data(bytes);
    if (output.readerIsGone) return true;
  }
  return pieces > PIECES_WITHOUT_ROWS;
}

type Series = Readonly<Record<string, string>>;

function aggregatedNote(series: readonly Series[]): string {
  const timeframes = [...new Set(series.map(({ timeframe }) => timeframe))].join(", ");
  const [one] = series;
  const whose = series.length === 1 ? `${one!["symbol"]} of vendor ${one!["vendor"]}` : `${series.length} series`;
  return `The ${timeframes} bars of ${whose} are answered from the aggregate of 1m bars.`;
}
