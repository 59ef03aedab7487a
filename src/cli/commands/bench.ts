/** `mds bench`: what the store reaches beside raw COPY, on a database of its own that is gone afterwards. */
import type { Command } from "commander";
import { runBench, SCENARIO_NAMES } from "../../bench/run-bench.ts";
import { chooseDatabaseUrl } from "../../config/choose-database-url.ts";
import { addExamples, addJsonFlag, collect, type DatabaseFlags, wholeNumber } from "../flags.ts";
import { interruptible } from "../interruption.ts";
import type { Shell } from "../shell.ts";

interface BenchFlags extends DatabaseFlags {
  readonly rows?: number;
  readonly csvRows?: number;
  readonly retentionRows?: number;
  readonly growthRows?: readonly number[];
  readonly only?: readonly string[];
  readonly json?: boolean;
}

export function bench(command: Command, shell: Shell): void {
  command
    .option(
      "--dsn <url>",
      "the server to measure; else MDS_DSN, DATABASE_URL, or an embedded one in a temporary folder",
    )
    .option("--rows <rows>", "bars to load; 1000000 unless given", wholeNumber(1_000, 5_000_000))
    .option("--csv-rows <rows>", "lines of the CSV file; 1000000 unless given", wholeNumber(1_000, 50_000_000))
    .option(
      "--retention-rows <rows>",
      "rows of the month that is dropped; 1000000 unless given",
      wholeNumber(1_000, 200_000_000),
    )
    .option(
      "--growth-rows <sizes>",
      "bars at each step of the growth, rising, with commas between; 200000,2000000 unless given",
      (text: string) => text.split(",").map(wholeNumber(1_000, 400_000_000)),
    )
    .option("--only <names>", `only these scenarios, with commas between: ${SCENARIO_NAMES.join(", ")}`, collect);
  addJsonFlag(command).action(async (flags: BenchFlags) => {
    const config = shell.configure({ dsn: flags.dsn });
    await interruptible(shell, (signal) =>
      runBench({
        url: chooseDatabaseUrl(config, { as: "client" }),
        adminUrl: chooseDatabaseUrl(config, { as: "client", admin: true }),
        rows: flags.rows,
        csvRows: flags.csvRows,
        retentionRows: flags.retentionRows,
        growthRows: flags.growthRows,
        only: flags.only?.flatMap((names) => names.split(",")),
        json: flags.json ?? false,
        write: (text) => void shell.output.data(text),
        signal,
      }).then(() => undefined),
    );
  });
  addExamples(command, "npx mds bench --only ingest,window --rows 200000", "npx mds bench --json > bench.json");
}
