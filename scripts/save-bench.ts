/** Runs the benchmark as `mds bench` does, keeps its result in bench/results/ and writes it into docs/benchmarks.md. */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { runBench } from "../src/bench/run-bench.ts";
import { withResults } from "./bench/benchmarks-doc.ts";
import { keepResult, newestResult } from "./bench/results.ts";

const text = { type: "string" } as const;
const { values } = parseArgs({
  options: { dsn: text, rows: text, "csv-rows": text, "retention-rows": text, "growth-rows": text, only: text },
});
const number = (given: string | undefined): number | undefined => (given === undefined ? undefined : Number(given));
const ending = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => ending.abort());

const report = await runBench({
  url: values.dsn,
  rows: number(values.rows),
  csvRows: number(values["csv-rows"]),
  retentionRows: number(values["retention-rows"]),
  growthRows: values["growth-rows"]?.split(",").map(Number),
  only: values.only?.split(","),
  json: false,
  signal: ending.signal,
  write: (lines) => process.stdout.write(`${lines}\n`),
});
console.log(`Kept in ${keepResult(report, values.only !== undefined)}.`);
const page = new URL("../docs/benchmarks.md", import.meta.url);
writeFileSync(page, withResults(readFileSync(page, "utf8"), newestResult()));
