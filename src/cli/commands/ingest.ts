/** `mds ingest DATASET FILE...`: loads CSV and NDJSON files, whatever their columns are called. */
import { Argument, type Command, Option } from "commander";
import { DEFAULT_BATCH_ROWS, MAX_BATCH_ROWS } from "../../client/upsert.ts";
import { DATASET_NAMES, type DatasetName } from "../../datasets/registry.ts";
import { FILE_FORMATS, ingestOptions } from "../../files/ingest-options.ts";
import { addExamples, addJsonFlag, addTenantFlags, assignments, collect, wholeNumber } from "../flags.ts";
import { type LoadFlags, loadFiles } from "../load-files.ts";
import type { Shell } from "../shell.ts";

interface IngestFlags extends LoadFlags {
  readonly map?: Readonly<Record<string, string>>;
  readonly set?: Readonly<Record<string, string>>;
  readonly ignoreColumns?: readonly string[];
  readonly format?: string;
  readonly timezone?: string;
  readonly upperCase?: boolean;
}

const NOTES = `
A bad line costs itself alone. A file that cannot be read to its end is told of, and the next one is loaded. Loading a
file again changes nothing about the rows that are stored already. Ctrl-C writes what was read, says how much that is,
and ends with 130.`;

export function ingest(command: Command, shell: Shell): void {
  command
    .addArgument(new Argument("<dataset>", "where the rows go").choices(DATASET_NAMES))
    .argument("<file...>", "CSV or NDJSON, plain, gzip or zstd, told by content; patterns; - for standard input")
    .option("--set <column=value>", "the value of a column for all rows; may be given several times", assignments)
    .option("--map <column=name>", "the file's name for a column, as in ts=Date,close=Close", assignments)
    .option("--ignore-columns <names>", "columns of the file to leave out, with commas between", collect)
    .option("--timezone <zone>", "zone of times that name none, such as America/New_York or UTC")
    .option("--upper-case", "upper-case all symbols")
    .addOption(
      new Option("--format <format>", "csv or ndjson instead of telling it by content; or a vendor's format").choices(
        FILE_FORMATS,
      ),
    )
    .addOption(
      new Option(
        "--via <way>",
        "coordinator: through a spool in the data folder, which keeps what was read through kill -9 and outages",
      ).choices(["coordinator"]),
    );
  addLoadFlags(command).action((name: DatasetName, files: string[], flags: IngestFlags) => {
    const options = ingestOptions(name, {
      ...flags,
      ignoreColumns: flags.ignoreColumns?.flatMap((names) => names.split(",")),
    });
    return loadFiles(shell, { verb: "ingest", dataset: name, names: files, options }, flags);
  });
  command.addHelpText("after", NOTES);
  addExamples(
    command,
    "npx mds ingest bars bars.csv --set vendor=coinbase --set timeframe=1m",
    "npx mds ingest bars 'data/*.csv.gz' --set vendor=x,timeframe=1d --rejects rejects.ndjson",
    "npx mds ingest bars bars.csv --set vendor=x,timeframe=1m --via coordinator",
    "npx mds ingest bars BTCUSDT-1m-2025-01.csv --format binance --set symbol=BTCUSDT,timeframe=1m",
    "npx mds ingest bars 'history/*.csv.gz' --set vendor=x,timeframe=1m --trusted",
    "curl -s https://example.com/signals.ndjson | npx mds ingest signals - --set vendor=x",
  );
}

/** The flags of all verbs that load files. */
export function addLoadFlags(command: Command): Command {
  command
    .option("--rejects <file>", "write every rejected line there, with its number and the reason")
    .option(
      "--batch-rows <rows>",
      `rows a transaction; ${DEFAULT_BATCH_ROWS} unless given`,
      wholeNumber(1, MAX_BATCH_ROWS),
    )
    .option(
      "--trusted",
      "new rows by COPY as the tables' owner, for ADMIN_DATABASE_URL; checks and outcome are the same",
    )
    .option("--dry-run", "read and check everything, write nothing; needs no database");
  return addJsonFlag(addTenantFlags(command));
}
