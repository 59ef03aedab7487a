/** The results of benchmarks that are kept: bench/results/<date>-<machine>.json, a file a day and machine. */
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BenchReport } from "../../src/bench/run-bench.ts";
import { messageOf, StoreError } from "../../src/errors/store-error.ts";

const FOLDER = fileURLToPath(new URL("../../bench/results/", import.meta.url));

/** The file of a report, without its folder. */
export function resultFile({ measured_at, machine }: BenchReport): string {
  const name = `${machine.cpu}-${machine.cores}-cores-${machine.memory_gib}-gib`;
  return `${measured_at.slice(0, 10)}-${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}.json`;
}

/**
 * What was measured before and again, or besides: scenarios of the later report take the place of the earlier one's.
 *
 * @throws StoreError `usage` when they do not belong together: another version, number of rows, machine or database.
 */
function mergeReports(earlier: BenchReport, later: BenchReport): BenchReport {
  for (const part of ["version", "rows", "machine", "database"] as const) {
    const [before, after] = [earlier[part], later[part]].map((value) =>
      JSON.stringify(value, (key, inner) => (key === "load_average" ? undefined : inner)),
    );
    if (before !== after)
      throw new StoreError(
        "usage",
        `The results of the day were measured with another ${part}: ${before}, now ${after}.`,
      );
  }
  return { ...earlier, scenarios: { ...earlier.scenarios, ...later.scenarios } };
}

/** Makes the folder where it is missing. @throws StoreError `file_unwritable`. */
export function requireResultsFolder(folder = FOLDER): void {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
  } catch (cause) {
    throw new StoreError("file_unwritable", `Results cannot be kept in ${folder}: ${messageOf(cause)}.`, { cause });
  }
}

/** Keeps a report, and with what was kept that day when it is a part; the path of the file. */
export function keepResult(report: BenchReport, isPart: boolean, folder = FOLDER): string {
  requireResultsFolder(folder);
  const file = resultFile(report);
  const path = join(folder, file);
  const kept =
    isPart && existsSync(path) ? mergeReports(JSON.parse(readFileSync(path, "utf8")) as BenchReport, report) : report;
  writeFileSync(path, `${JSON.stringify(kept, undefined, 2)}\n`);
  return path;
}

/** The newest of them, by the date in its name; undefined where none is kept. */
export function newestResult(folder = FOLDER): BenchReport | undefined {
  if (!existsSync(folder)) return undefined;
  const newest = readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .toSorted()
    .at(-1);
  return newest === undefined ? undefined : (JSON.parse(readFileSync(join(folder, newest), "utf8")) as BenchReport);
}
