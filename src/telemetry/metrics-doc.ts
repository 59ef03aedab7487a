/** docs/metrics.md, written from the metrics themselves, and the list of all families that rules and dashboards may name. */
import { type MetricObject, Registry } from "prom-client";
import { DriftMetrics } from "./drift-metrics.ts";
import { IngestMetrics } from "./ingest-metrics.ts";
import { StoreMetrics } from "./metrics.ts";
import { PulseMetrics } from "./pulse-metrics.ts";
import { RegistryMetrics } from "./registry-metrics.ts";
import { SpoolMetrics } from "./spool-metrics.ts";

/** One family, as a scrape names it. */
interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly labels: readonly string[];
}

/** Families of one part, and which process shows them. */
interface FamilyGroup {
  readonly title: string;
  readonly shown: string;
  readonly families: readonly MetricFamily[];
}

const INTRODUCTION = `<!-- Written by \`npm run generate\` from src/telemetry/. Do not edit. -->
# Metrics

\`GET /metrics\` of a process shows everything that moves in that process, in the text format of Prometheus, from one registry. Names
and labels are contracts: a label may be added, none is taken away. Labels are bounded: \`endpoint\` is a route's pattern, never the
path that a client sent. A text is given out for up to a second, so scraping costs next to nothing.

A histogram \`x\` is shown as \`x_bucket\`, \`x_sum\` and \`x_count\`. Values of \`result\` are \`inserted\`, \`updated\`, \`unchanged\`,
\`rejected\`; of \`outcome\` \`success\`, \`failure\` and, for events, \`dropped\`. A counter with labels appears with its first event; the
[alerts](infra-integration.md#alerts) allow for that.
`;

/** Every family of this project, in the order of the document. */
export function metricGroups(): readonly FamilyGroup[] {
  const process = processFamilies();
  const added = new Set(process.map(({ name }) => name));
  const registryServer = new RegistryMetrics();
  const shown = "`mds serve`";
  return [
    { title: "Service", shown, families: storeFamilies() },
    {
      title: "Ingestion",
      shown: `${shown}; a process of your own that gives its coordinators \`new IngestMetrics(registry)\``,
      families: familiesOf((registry) => new IngestMetrics(registry)),
    },
    { title: "Spool and dead letters", shown, families: familiesOf(addSpool) },
    {
      title: "Event bus",
      shown: `${shown} with \`PULSE_ENABLED\`; a process of your own that calls \`openPulse\` with a registry`,
      families: familiesOf((registry) => new PulseMetrics(registry)),
    },
    {
      title: "Schema drift",
      shown: `${shown} with \`REGISTRY_URL\``,
      families: familiesOf((registry) => new DriftMetrics(registry)),
    },
    {
      title: "Schema registry",
      shown: "`mds registry serve`",
      families: listed(registryServer.registry).filter(({ name }) => !added.has(name)),
    },
    { title: "Process and event loop", shown: "all of these", families: process },
  ];
}

/** The document. */
export function metricsDoc(): string {
  return [INTRODUCTION, ...metricGroups().map(section)].join("\n");
}

function section({ title, shown, families }: FamilyGroup): string {
  const rows = families.map(({ name, labels, type, help }) => {
    const label = labels.length === 0 ? "" : `{${labels.join(",")}}`;
    return `| \`${name}${label}\` | ${type} | ${help.replaceAll("|", "\\|")} |`;
  });
  return [
    `## ${title}`,
    "",
    `Shown by ${shown}.`,
    "",
    "| Name | Type | Meaning |",
    "| --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}

function storeFamilies(): readonly MetricFamily[] {
  const metrics = new StoreMetrics();
  metrics.watchPool(() => ({ inUse: 0, idle: 0, waiting: 0 }));
  return listed(metrics.registry);
}

function processFamilies(): readonly MetricFamily[] {
  const metrics = new StoreMetrics();
  metrics.watchProcess();
  const own = new Set(listed(new StoreMetrics().registry).map(({ name }) => name));
  return listed(metrics.registry).filter(({ name }) => !own.has(name));
}

function addSpool(registry: Registry): void {
  const metrics = new SpoolMetrics(registry);
  metrics.watchSpool(() => ({ bytes: 0, maxBytes: 0, depth: 0, oldestAcceptedAt: undefined, damaged: 0 }));
  metrics.watchDeadLetters(() => Promise.resolve(0));
}

function familiesOf(add: (registry: Registry) => unknown): readonly MetricFamily[] {
  const registry = new Registry();
  add(registry);
  return listed(registry);
}

function listed(registry: Registry): readonly MetricFamily[] {
  return registry.getMetricsAsArray().map((metric) => {
    // The library's types leave out the names of labels.
    const { name, help, type, labelNames } = metric as MetricObject & { readonly labelNames?: readonly string[] };
    return { name, help, type: String(type), labels: labelNames ?? [] };
  });
}
