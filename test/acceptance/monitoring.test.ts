/**
 * A real Prometheus scrapes a real store and a real registry under a short load: every expression of every dashboard and
 * alert is evaluated there, names only metrics that came, and has data wherever the load makes some.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { barLines, makeTenantWithToken } from "../support/ingest-service.ts";
import { toolOrWarning } from "../support/installed-tool.ts";
import { finished, mds, type RunningCommand, scratchFolder, startMds } from "../support/mds-command.ts";
import { alertRules, dashboardExpressions, metricsIn, ROOT } from "../support/monitoring-files.ts";
import { type PrometheusServer, type Rule, startPrometheus } from "../support/prometheus-server.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const { path, missing } = await toolOrWarning("prometheus", "prometheus", "monitoring by a real Prometheus");
const TOKEN = "a-token-of-this-test";
const CHANGED = "telemetry.FeedbackEvent";
/** Nothing goes wrong under this load, and nobody subscribes to feedback over HTTP; so these have nothing to show. */
const EVENTS_THAT_DO_NOT_HAPPEN = [
  "mds_coord_items_dropped_total",
  "mds_dead_letters_total",
  "mds_worker_write_errors_total",
  "mds_feedback_deliveries_total",
];

const until = (condition: () => Promise<void> | void) => vi.waitFor(condition, { timeout: 45_000, interval: 200 });

let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let databases: readonly [TestDatabase, TestDatabase];
const processes: RunningCommand[] = [];
let prometheus: PrometheusServer;
let store: { readonly url: string; readonly running: RunningCommand };
let registryUrl: string;

async function start(args: readonly string[], database: TestDatabase, env: Readonly<Record<string, string>>) {
  const running = startMds([...args, "--host", "127.0.0.1", "--port", "0"], {
    cwd: scratch.path,
    env: { DATABASE_URL: database.url, ADMIN_DATABASE_URL: database.adminUrl, ...env },
  });
  processes.push(running);
  await until(() => expect(running.output.stderr).toMatch(/http:\/\/127\.0\.0\.1:\d+/));
  return { url: /http:\/\/127\.0\.0\.1:\d+/.exec(running.output.stderr)![0], running };
}

/** Changes a contract in the registry so that it breaks, or puts the store's back. */
async function publish(how: "changed" | "ours"): Promise<void> {
  const env = { REGISTRY_URL: registryUrl, REGISTRY_TOKEN: TOKEN };
  if (how === "ours") {
    expect((await mds(["registry", "publish", "--force"], { env })).code).toBe(0);
    return;
  }
  const { stdout } = await mds(["registry", "fetch", CHANGED], { env });
  const answer = await fetch(`${registryUrl}/schemas/v1/${CHANGED}?compatibility=none`, {
    method: "PUT",
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
    body: stdout.replace('"ok",', '"fine",'),
  });
  expect(answer.status).toBe(201);
}

beforeAll(async () => {
  if (path === undefined) return;
  scratch = await scratchFolder();
  databases = await Promise.all([createTestDatabase(), createTestDatabase({ empty: true })]);
  registryUrl = (await start(["registry", "serve"], databases[1], { REGISTRY_TOKEN: TOKEN })).url;
  await publish("ours");
  store = await start(["serve"], databases[0], {
    REGISTRY_URL: registryUrl,
    ADMIN_TOKEN: TOKEN,
    MDS_DRIFT_INTERVAL_MS: "1000",
  });
  prometheus = await startPrometheus(path, join(ROOT, "infra/prometheus/rules/store.yml"), {
    store: new URL(store.url).host,
    registry: new URL(registryUrl).host,
  });
});
afterAll(async () => {
  await prometheus?.stop();
  for (const running of processes) {
    running.child.kill("SIGTERM");
    await finished(running);
  }
  await Promise.all((databases ?? []).map((database) => database.drop()));
  await scratch?.remove();
});

const states = async (...wanted: readonly string[]): Promise<string[]> =>
  (await prometheus.rules()).filter(({ state }) => wanted.includes(state)).map(({ name }) => name);

/** As Grafana would fill it in. */
const filledIn = (expr: string): string => expr.replaceAll("$job", ".*").replaceAll("$__rate_interval", "10s");

describe.skipIf(missing)(`Metrics Exposed, to a real Prometheus${missing}`, () => {
  it("R30 R38 gives every panel and every alert what it asks for", async () => {
    const { token } = await makeTenantWithToken(databases[0], "monitored");
    let sent = 0;
    const load = async (): Promise<void> => {
      const body = barLines(sent + 500, sent);
      sent += 500;
      const headers = { authorization: `Bearer ${token}` };
      expect((await fetch(`${store.url}/v1/bars`, { method: "POST", headers, body })).status).toBe(202);
      await fetch(`${store.url}/health`);
    };
    await load();
    // The job runner starts when the service is ready.
    await until(async () => {
      const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
      const body = JSON.stringify({ dry_run: true });
      expect((await fetch(`${store.url}/retention/apply`, { method: "POST", headers, body })).status).toBe(202);
    });
    await publish("changed");

    const may = new Set(EVENTS_THAT_DO_NOT_HAPPEN);
    const panels = dashboardExpressions().filter(({ expr }) => !metricsIn(expr).some((name) => may.has(name)));
    expect(panels.length).toBeGreaterThan(50);
    await until(async () => {
      await load();
      const results = await Promise.all(panels.map(({ expr }) => prometheus.query(filledIn(expr))));
      const empty = panels.filter(
        (_, at) => results[at]!.length === 0 || results[at]!.every(({ value }) => value[1] === "NaN"),
      );
      expect(empty.map(({ at, expr }) => `${at}: ${expr}`)).toEqual([]);
    });

    const came = new Set(
      (await prometheus.query('count by (__name__) ({job!=""})')).map(({ metric }) => metric["__name__"]),
    );
    const named = [...dashboardExpressions(), ...alertRules()].flatMap(({ expr }) => metricsIn(expr));
    expect(named.filter((name) => !came.has(name) && name !== "ALERTS" && !may.has(name))).toEqual([]);
    for (const { expr } of [...dashboardExpressions(), ...alertRules()]) await prometheus.query(filledIn(expr));
  });

  it("R38 lets no alert fire under load, and has the drift on its way", async () => {
    await until(async () => expect(await states("pending")).toContain("BreakingSchemaDrift"));
    expect(await states("firing")).toEqual([]);
    const broken = (rule: Rule): boolean => rule.health !== "ok";
    expect((await prometheus.rules()).filter(broken)).toEqual([]);
  });

  it("R38 ends with the drift", async () => {
    await publish("ours");
    await until(async () => expect(await states("pending", "firing")).toEqual([]));
  });

  it("R31 has the routes' patterns as labels, and no path that a client made up", async () => {
    for (const at of [1, 2, 3])
      await fetch(`${store.url}/jobs/unknown-${at}`, { headers: { authorization: `Bearer ${TOKEN}` } });
    await fetch(`${store.url}/no/such/route`);
    await until(async () => {
      const found = await prometheus.query("count by (endpoint) (http_requests_total)");
      expect(found.map(({ metric }) => metric["endpoint"])).toContain("/jobs/:id");
    });
    const text = await (await fetch(`${store.url}/metrics`)).text();
    expect(text).not.toContain("unknown-1");
    expect(text).not.toContain("such/route");
  });

  it("R31 shows store_up without anybody asking for health, and a store that is gone", async () => {
    const [up] = await prometheus.query("store_up");
    expect(up?.value[1]).toBe("1");
    store.running.child.kill("SIGTERM");
    await finished(store.running);
    await until(async () => expect(await states("pending", "firing")).toContain("StoreDown"));
  });
});
