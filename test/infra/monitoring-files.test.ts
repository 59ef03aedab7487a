/** Rules, dashboards and documents name metrics that exist, every metric is documented, every alert has its runbook and cases. */
import { existsSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { dashboards } from "../../scripts/dashboards.ts";
import { metricGroups, metricsDoc } from "../../src/telemetry/metrics-doc.ts";
import { alertRules, dashboardExpressions, knownSamples, metricsIn, ROOT, read } from "../support/monitoring-files.ts";

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly datasource: unknown;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  }[];
}

const known = knownSamples();
const rules = alertRules();

describe("metrics in an expression", () => {
  it("are found among everything else", () => {
    const expr =
      'sum by (job, le) (rate(a_total{b="c_total", d=~"x{}"}[5m] offset 1h)) / on (job) e > 0 unless on (q) time() - f';
    expect(metricsIn(expr)).toEqual(["a_total", "e", "f"]);
  });
});

describe("R38 alerts", () => {
  it("are as many as the file has", () => {
    expect(rules).toHaveLength(read("infra/prometheus/rules/store.yml").match(/- alert:/g)!.length);
    expect(rules.length).toBeGreaterThanOrEqual(15);
  });

  it.each(rules)("$at names metrics that exist", ({ expr }) => {
    expect(metricsIn(expr)).not.toEqual([]);
    expect(metricsIn(expr).filter((name) => !known.has(name))).toEqual([]);
  });

  it.each(rules)("$at has a runbook that names it", ({ at, runbook }) => {
    expect(existsSync(`${ROOT}${runbook}`), runbook).toBe(true);
    expect(read(runbook)).toContain(at);
  });

  it.each(rules)("$at has cases in which it fires and in which it does not", ({ at }) => {
    const cases = read("infra/prometheus/tests/store.yml").split(/^ {2}- name: /m);
    const outcomes = cases
      .filter((text) => text.startsWith(`"${at} `))
      .map((text) => /value: (\d) \}\]$/m.exec(text)?.[1]);
    expect(outcomes).toContain("1");
    expect(outcomes).toContain("0");
  });
});

describe("R30 dashboards", () => {
  it("are as their description makes them (else: npm run generate)", () => {
    const made = dashboards();
    expect(readdirSync(`${ROOT}infra/grafana/dashboards`).sort()).toEqual(Object.keys(made).sort());
    for (const [file, text] of Object.entries(made)) expect(read(`infra/grafana/dashboards/${file}`)).toBe(text);
  });

  it.each(dashboardExpressions())("$at names metrics that exist: $expr", ({ expr }) => {
    expect(metricsIn(expr)).not.toEqual([]);
    expect(metricsIn(expr).filter((name) => !known.has(name))).toEqual([]);
  });

  it("show every family of ours", () => {
    const shown = new Set([...dashboardExpressions(), ...rules].flatMap(({ expr }) => metricsIn(expr)));
    const ours = metricGroups().filter(({ title }) => title !== "Process and event loop");
    const unseen = ours
      .flatMap(({ families }) => families.map(({ name }) => name))
      .filter((name) => !shown.has(name) && !shown.has(`${name}_bucket`) && !shown.has(`${name}_sum`));
    expect(unseen).toEqual([]);
  });
});

describe("Summary", () => {
  it("confirms that Prometheus scrapes the store, and that Grafana is given the dashboards", () => {
    expect(read("infra/prometheus/prometheus.yml")).toMatch(
      /job_name: market-data-services\n {4}static_configs:\n {6}- targets: \["store:8082"\]/,
    );
    const compose = read("infra/docker-compose.yml");
    const [, folder] = /^ {6}path: (.+)$/m.exec(read("infra/grafana/provisioning/dashboards/store.yml"))!;
    expect(compose).toContain(`./grafana/dashboards:${folder}:ro`);
    expect(compose).toContain("./grafana/provisioning:/etc/grafana/provisioning:ro");
    expect(read("infra/grafana/provisioning/datasources/prometheus.yml")).toContain("url: http://prometheus:9090");
  });

  it.each(readdirSync(`${ROOT}infra/grafana/dashboards`))("%s is a dashboard as Grafana takes one", (file) => {
    const { uid, title, schemaVersion, panels } = JSON.parse(read(`infra/grafana/dashboards/${file}`)) as Dashboard;
    expect(uid).toMatch(/^[\w-]{1,40}$/);
    expect([title.length > 0, schemaVersion >= 36, panels.length > 0]).toEqual([true, true, true]);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const taken = new Set<string>();
    for (const { title: name, gridPos, datasource } of panels) {
      expect(datasource, name).toEqual({ type: "prometheus", uid: "$datasource" });
      expect(gridPos.x + gridPos.w, name).toBeLessThanOrEqual(24);
      for (let at = 0; at < gridPos.w * gridPos.h; at++) {
        const cell = `${gridPos.x + (at % gridPos.w)},${gridPos.y + Math.floor(at / gridPos.w)}`;
        expect(taken.has(cell), `${name} lies on another panel`).toBe(false);
        taken.add(cell);
      }
    }
  });
});

describe("documents", () => {
  it.runIf(process.platform === "linux")("docs/metrics.md has every metric (else: npm run generate)", () => {
    expect(read("docs/metrics.md")).toBe(metricsDoc());
  });

  const documents = [
    "README.md",
    ...readdirSync(`${ROOT}docs`, { recursive: true, encoding: "utf8" }).map((path) => `docs/${path}`),
  ];
  it.each(documents.filter((path) => path.endsWith(".md")))("%s names no metric that does not exist", (path) => {
    const ours =
      /\b(?:mds_(?:coord|worker|spool|dead_letters|schema|registry|job_queue|rows|database_pool|feedback)|store_up|store_job|http_requests?|sink_writes?|pulse_publish|schema_drift_(?:total|last)|migrations_applied|registry_publish)(?:_\w+)?\b/g;
    const families = new Set(metricGroups().flatMap((group) => group.families.map(({ name }) => name)));
    const unknown = (read(path).match(ours) ?? []).filter((name) => !known.has(name) && !families.has(name));
    expect(unknown).toEqual([]);
  });
});

describe("names and labels that the platform relies on", () => {
  const families = new Map(metricGroups().flatMap((group) => group.families.map((family) => [family.name, family])));
  it.each<[string, string, string[]]>([
    ["store_up", "gauge", []],
    ["http_requests_total", "counter", ["method", "endpoint"]],
    ["http_request_duration_seconds", "histogram", ["method", "endpoint"]],
    ["schema_drift_total", "counter", ["repo", "track", "schema"]],
    ["schema_drift_last_detected_timestamp", "gauge", ["repo", "track", "schema"]],
    ["sink_writes_total", "counter", ["sink", "outcome"]],
    ["sink_write_latency", "histogram", ["sink"]],
    ["pulse_publish_total", "counter", ["stream", "track", "outcome"]],
    ["pulse_publish_latency_ms", "histogram", ["stream", "track"]],
    ["mds_coord_items_submitted_total", "counter", ["coord_id"]],
    ["mds_coord_items_dropped_total", "counter", ["coord_id", "reason"]],
    ["mds_coord_queue_depth", "gauge", ["coord_id"]],
    ["mds_coord_workers_alive", "gauge", ["coord_id"]],
    ["mds_coord_circuit_state", "gauge", ["coord_id"]],
    ["mds_worker_batches_written_total", "counter", ["coord_id", "worker_id"]],
    ["mds_worker_write_errors_total", "counter", ["coord_id", "worker_id", "error_type"]],
    ["mds_worker_write_latency_seconds", "histogram", ["coord_id", "worker_id"]],
    ["store_job_runs_total", "counter", ["job_name", "provider", "mode", "status"]],
    ["store_job_runs_duration_seconds", "histogram", ["job_name", "provider", "mode", "status"]],
    ["migrations_applied_total", "counter", []],
    ["mds_rows_written_total", "counter", ["dataset", "result"]],
  ])("Metrics Exposed: %s is a %s with %j", (name, type, labels) => {
    expect(families.get(name)).toMatchObject({ type, labels: expect.arrayContaining(labels) });
  });
});
