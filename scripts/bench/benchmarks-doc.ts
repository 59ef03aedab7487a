/**
 * The generated part of docs/benchmarks.md: tables, targets and charts of one result. Charts are Mermaid's, which the pages
 * that show Markdown draw themselves.
 */
import { tableCells, textColumns } from "../../src/bench/report.ts";
import type { BenchReport, TitledReport } from "../../src/bench/run-bench.ts";
import type { Figure } from "../../src/bench/scenario.ts";

const BEGIN =
  "<!-- Results: written by `npm run generate` from the newest file of bench/results/. Do not edit up to the end mark. -->";
const END = "<!-- End of results. -->";

interface Chart {
  readonly title: string;
  readonly kind: "bar" | "line";
  /** The columns that name a bar or a point. */
  readonly labels: readonly string[];
  readonly value: string;
  readonly unit: string;
  /** Values are divided by this. */
  readonly divisor?: number;
  /** Only figures whose columns have these values; `max`: the largest there is. */
  readonly where?: Readonly<Record<string, string | number>>;
}

const RATE = { value: "rows_per_s", unit: "thousand rows a second", divisor: 1_000 } as const;
const READ = { kind: "bar", labels: ["read"], value: "warm_ms", unit: "ms" } as const;
const curve = (title: string, value: string, unit: string, divisor = 1): Chart => ({
  ...{ title, value, unit, divisor },
  kind: "line",
  labels: ["rows"],
});

/** What is worth a picture, by scenario. */
const CHARTS: Readonly<Record<string, readonly Chart[]>> = {
  ingest: [
    {
      title: "One-minute bars of 500 series, by time",
      kind: "bar",
      labels: ["variant"],
      where: { shape: "by time" },
      ...RATE,
    },
    {
      ...{
        title: "Fresh rows over one connection, of COPY",
        kind: "bar",
        labels: ["shape"],
        where: { variant: "fresh" },
      },
      ...{ value: "of_copy", unit: "percent", divisor: 0.01 },
    },
  ],
  changes: [{ title: "Rows that are there already", kind: "bar", labels: ["rows", "variant"], ...RATE }],
  window: [
    { title: "10,000 bars among many partitions", where: { bars: 10_000, partitions: "max" }, ...READ },
    { title: "The longest window", where: { bars: "max", partitions: "max" }, ...READ },
  ],
  arrow: [{ title: "All bars", kind: "bar", labels: ["read"], ...RATE }],
  latest: [{ title: "Latest prices of 500 instruments", where: { partitions: "max" }, ...READ }],
  rollup: [{ title: "Hourly bars of one series", ...READ }],
  chain: [{ title: "Option chain", ...READ }],
  coordinator: [{ title: "Rows through the coordinator", kind: "bar", labels: ["what"], ...RATE }],
  storage: [{ title: "Bytes a bar", kind: "bar", labels: ["table", "filled"], value: "bytes_per_row", unit: "bytes" }],
  growth: [
    curve("Fresh rows as data grows", "ingest_rows_per_s", "thousand rows a second", 1_000),
    curve("A window as data grows", "window_ms", "ms"),
    curve("Latest prices as data grows", "latest_ms", "ms"),
    curve("Dropping a month as data grows", "retention_ms", "ms"),
  ],
};

/** The document with that part as it has to be. */
export function withResults(document: string, result: BenchReport | undefined): string {
  const [before = "", rest = ""] = document.split(BEGIN);
  const after = rest.split(END)[1] ?? "";
  const text = result === undefined ? "No results are kept yet." : resultText(result);
  return `${before}${BEGIN}\n\n${text}\n\n${END}${after}`;
}

function resultText({ measured_at, version, rows, machine, database, scenarios }: BenchReport): string {
  const settings = Object.entries(database.settings).map(([name, value]) => `\`${name}=${value}\``);
  const targets = Object.values(scenarios).flatMap((scenario) => scenario.targets);
  const missed = Object.entries(scenarios).flatMap(([name, scenario]) =>
    scenario.targets.filter(({ met }) => !met).map(({ text }) => `- \`${name}\`: ${text}`),
  );
  return [
    `Measured on ${measured_at.slice(0, 10)} with version ${version}: ${machine.cpu}, ${machine.cores} cores, ${machine.memory_gib} GiB,`,
    `${machine.system}, Node ${machine.node}, load ${machine.load_average} before the start; PostgreSQL ${database.version} (${database.kind}),`,
    `${settings.join(", ")}. ${rows} rows a scenario unless its table says otherwise.`,
    "",
    `Of ${targets.length} targets ${targets.length - missed.length} are met.${missed.length > 0 ? " Missed:" : ""}`,
    ...(missed.length > 0 ? ["", ...missed] : []),
    "",
    Object.entries(scenarios)
      .map(([name, scenario]) => scenarioSection(name, scenario))
      .join("\n\n"),
  ].join("\n");
}

function scenarioSection(name: string, { title, figures, targets, notes }: TitledReport): string {
  const parts = [`### ${name}`, `${title[0]!.toUpperCase()}${title.slice(1)}.`];
  for (const chart of CHARTS[name] ?? []) {
    const drawn = chartText(chart, figures);
    if (drawn !== undefined) parts.push(drawn);
  }
  if (figures.length > 0) parts.push(tableText(figures));
  const lines = [
    ...targets.map(({ text, met }) => `- ${met ? "Met" : "**Missed**"}: ${text}`),
    ...notes.map((note) => `- ${note}`),
  ];
  if (lines.length > 0) parts.push(lines.join("\n"));
  return parts.join("\n\n");
}

function tableText(figures: readonly Figure[]): string {
  const [names, ...lines] = tableCells(figures);
  const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const rule = textColumns(figures).map((isText) => (isText ? "---" : "---:"));
  return [row(names!), row(rule), ...lines.map(row)].join("\n");
}

/** A chart in Mermaid; nothing where there is less than two to compare. */
export function chartText(
  { title, kind, labels, value, unit, divisor = 1, where = {} }: Chart,
  figures: readonly Figure[],
): string | undefined {
  let chosen = figures.filter((figure) => typeof figure[value] === "number");
  for (const [column, wanted] of Object.entries(where)) {
    const most = wanted === "max" ? Math.max(...chosen.map((figure) => figure[column] as number)) : wanted;
    chosen = chosen.filter((figure) => figure[column] === most);
  }
  if (chosen.length < 2) return undefined;
  const names = chosen.map(
    (figure) =>
      `"${labels
        .map((label) => labelText(figure[label]))
        .join(": ")
        .replaceAll('"', "'")}"`,
  );
  const values = chosen.map((figure) => Number(((figure[value] as number) / divisor).toPrecision(3)));
  return [
    "```mermaid",
    `xychart-beta${kind === "bar" ? " horizontal" : ""}`,
    `  title "${title}"`,
    `  x-axis [${names.join(", ")}]`,
    `  y-axis "${unit}" 0 --> ${Number((Math.max(...values) * 1.1).toPrecision(3))}`,
    `  ${kind} [${values.join(", ")}]`,
    "```",
  ].join("\n");
}

function labelText(label: Figure[string] | undefined): string {
  if (typeof label !== "number") return label ?? "";
  const [divisor, unit] = label >= 1e6 ? [1e6, " M"] : label >= 1e4 ? [1e3, " k"] : [1, ""];
  return `${Number((label / divisor).toPrecision(3))}${unit}`;
}
