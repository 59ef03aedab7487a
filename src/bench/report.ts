/** The benchmark's figures as tables for people. */
import type { BenchReport } from "./run-bench.ts";
import type { Figure, ScenarioReport } from "./scenario.ts";

/** The head: where and with what it was measured. */
export function headText({ machine, database }: Pick<BenchReport, "machine" | "database">): string {
  const settings = Object.entries(database.settings).map(([name, value]) => `${name}=${value}`);
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memory_gib} GiB, ${machine.system}, Node ${machine.node}, load ${machine.load_average}`,
    `PostgreSQL ${database.version}, ${database.kind}; ${settings.join(", ")}`,
    "",
  ].join("\n");
}

/** One scenario: its table, its targets and its notes. */
export function scenarioText(name: string, title: string, { figures, targets, notes }: ScenarioReport): string {
  return [
    `${name}: ${title}`,
    ...tableLines(figures).map((line) => `  ${line}`),
    ...targets.map(({ text, met }) => `  ${met ? "met   " : "MISSED"} ${text}`),
    ...notes.map((note) => `  ${note}`),
    "",
  ].join("\n");
}

/** Figures as cells of a table, the names of the columns first; none of none. */
export function tableCells(figures: readonly Figure[]): string[][] {
  if (figures.length === 0) return [];
  const names = Object.keys(figures[0]!);
  return [names, ...figures.map((figure) => names.map((name) => cellText(name, figure[name])))];
}

/** Which columns hold words. */
export function textColumns(figures: readonly Figure[]): boolean[] {
  return Object.values(figures[0] ?? {}).map((value) => typeof value === "string");
}

function tableLines(figures: readonly Figure[]): string[] {
  const cells = tableCells(figures);
  const widths = cells[0]?.map((_, at) => Math.max(...cells.map((line) => line[at]!.length))) ?? [];
  const isText = textColumns(figures);
  return cells.map((line) =>
    line.map((cell, at) => (isText[at] ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!))).join("  "),
  );
}

function cellText(name: string, value: Figure[string] | undefined): string {
  if (typeof value !== "number") return value ?? "-";
  if (name === "spread" || name.startsWith("of_")) return `${Math.round(value * 100)} %`;
  if (Number.isInteger(value) || Math.abs(value) >= 1_000) return String(Math.round(value));
  return value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
}
