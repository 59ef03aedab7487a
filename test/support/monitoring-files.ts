/** What the monitoring's files name: expressions of rules and dashboards, and the metrics in an expression. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { metricGroups } from "../../src/telemetry/metrics-doc.ts";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const read = (path: string): string => readFileSync(`${ROOT}${path}`, "utf8");

export interface Expression {
  /** Where it stands, for messages: "Ingestion: Queue". */
  readonly at: string;
  readonly expr: string;
}

interface DashboardJson {
  readonly title: string;
  readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[];
}

export interface AlertRule extends Expression {
  readonly runbook: string;
}

/** The alerts of the rules' file, which is written so that a line tells what it is. */
export function alertRules(): AlertRule[] {
  const text = read("infra/prometheus/rules/store.yml");
  return text
    .split(/^ {6}- alert: /m)
    .slice(1)
    .map((block) => {
      const folded = /^ {8}expr: >-\n((?: {10,}.*\n)+)/m.exec(block)?.[1];
      const expr = folded?.replaceAll(/\s+/g, " ").trim() ?? /^ {8}expr: (.*)$/m.exec(block)![1]!;
      return { at: /^\w+/.exec(block)![0], expr, runbook: /^ {10}runbook: (.*)$/m.exec(block)![1]! };
    });
}

/** Every expression of every dashboard, as it is written there. */
export function dashboardExpressions(): Expression[] {
  return readdirSync(`${ROOT}infra/grafana/dashboards`).flatMap((file) => {
    const { title, panels } = JSON.parse(read(`infra/grafana/dashboards/${file}`)) as DashboardJson;
    return panels.flatMap((panel) => panel.targets.map(({ expr }) => ({ at: `${title}: ${panel.title}`, expr })));
  });
}

/** What Prometheus itself makes. */
const ITS_OWN = ["up", "ALERTS"];
const WORDS = new Set(["and", "or", "unless", "bool", "offset", "time"]);

/** Names of all samples that our processes, and Prometheus about them, can have. */
export function knownSamples(): Set<string> {
  const families = metricGroups().flatMap((group) => group.families);
  return new Set([
    ...ITS_OWN,
    ...families.flatMap(({ name, type }) =>
      type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  ]);
}

/** The metrics that an expression names: what is left when functions, labels, groupings and ranges are taken away. */
export function metricsIn(expr: string): string[] {
  const bare = expr
    .replaceAll(/"(?:[^"\\]|\\.)*"/g, "")
    .replaceAll(/\{[^}]*\}/g, " ")
    .replaceAll(/\[[^\]]*\]/g, " ")
    .replaceAll(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, " ")
    .replaceAll(/\boffset\s+\w+/g, " ");
  return [...bare.matchAll(/[A-Za-z_:][\w:]*(?!\w)(?!\s*\()/g)]
    .map(([name]) => name)
    .filter((name) => !WORDS.has(name));
}
