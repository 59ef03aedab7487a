/** Runs the benchmark as `mds bench` does, keeps its result in bench/results/ and writes it into docs/benchmarks.md. */
import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { runBench } from "../src/bench/run-bench.ts";
import { withResults } from "./bench/benchmarks-doc.ts";
import { keepResult, newestResult, requireResultsFolder } from "./bench/results.ts";
import { runScript } from "./run-script.ts";

const USAGE =
  "npm run bench:save -- [--dsn URL] [--rows N] [--csv-rows N] [--retention-rows N] [--growth-rows N,N] [--only NAME,NAME]";
const page = new URL("../docs/benchmarks.md", import.meta.url);
const text = { type: "string" } as const;
const options = { dsn: text, rows: text, "csv-rows": text, "retention-rows": text, "growth-rows": text, only: text };
const number = (given: string | undefined): number | undefined => (given === undefined ? undefined : Number(given));

await runScript(USAGE, async (signal) => {
  const { values } = parseArgs({ options });
  // What was measured for an hour must not be lost for want of a place.
  requireResultsFolder();
  accessSync(page, constants.W_OK);
  const report = await runBench({
    url: values.dsn,
    rows: number(values.rows),
    csvRows: number(values["csv-rows"]),
    retentionRows: number(values["retention-rows"]),
    growthRows: values["growth-rows"]?.split(",").map(Number),
    only: values.only?.split(","),
    json: false,
    signal,
    write: (lines) => process.stdout.write(`${lines}\n`),
  });
  console.log(`Kept in ${keepResult(report, values.only !== undefined)}.`);
  writeFileSync(page, withResults(readFileSync(page, "utf8"), newestResult()));
});
