/**
 * What the infra hub was promised when the store was announced to it, heading by heading: each `describe` has the name of
 * one. docs/infra-integration.md says where the rest is kept. The store and the registry are real, on one database.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { healthStatus } from "../../src/contracts/health-status.ts";
import { barLine, makeTenantWithToken } from "../support/ingest-service.ts";
import { toolOrWarning } from "../support/installed-tool.ts";
import { finished, type RunningCommand, scratchFolder, startMds } from "../support/mds-command.ts";
import { ROOT, read } from "../support/monitoring-files.ts";
import { type DatabaseProxy, startDatabaseProxy } from "../support/tcp-proxy.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const run = promisify(execFile);
const curl = await toolOrWarning("curl", "curl", "the hub's own commands");
const TOKEN = "a-token-of-this-test";
const until = (condition: () => Promise<void> | void) => vi.waitFor(condition, { timeout: 30_000, interval: 50 });

interface Running {
  readonly url: string;
  readonly running: RunningCommand;
}

let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let database: TestDatabase;
let proxy: DatabaseProxy;
let registry: Running;
let store: Running;

async function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Running> {
  const running = startMds(args, { cwd: scratch.path, env });
  await until(() => expect(running.output.stderr).toMatch(/http:\/\/127\.0\.0\.1:\d+/));
  return { url: /http:\/\/127\.0\.0\.1:\d+/.exec(running.output.stderr)![0], running };
}

const get = (path: string, init?: RequestInit): Promise<Response> => fetch(`${store.url}${path}`, init);
const health = async (path = "/health") => healthStatus.parse(await (await get(path)).json());
const untilHealthy = (): Promise<void> => until(async () => expect((await health()).state).toBe("healthy"));

beforeAll(async () => {
  scratch = await scratchFolder();
  database = await createTestDatabase({ empty: true });
  proxy = await startDatabaseProxy(database.adminUrl);
  const address = { HOST: "127.0.0.1", PORT: "0" };
  registry = await start(["registry", "serve"], { ...address, DATABASE_URL: database.adminUrl });
  // What the hub's service definition sets, and one login for everything, as there.
  const settings = {
    ...address,
    DATABASE_URL: proxy.url.replace(/^\w+:/, "postgres:"),
    REGISTRY_URL: registry.url,
    REGISTRY_TRACK: "v1",
    ADMIN_TOKEN: TOKEN,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  await writeFile(join(scratch.path, ".env"), lines.join(""));
  store = await start(["serve"]);
  await untilHealthy();
});

afterAll(async () => {
  for (const { running } of [store, registry].filter((one) => one !== undefined)) {
    running.child.kill("SIGTERM");
    await finished(running);
  }
  await proxy?.close();
  await database?.drop();
  await scratch?.remove();
});

describe("Deliverables", () => {
  it("are there: image, what it leaves out, the guide", () => {
    for (const path of ["Dockerfile", ".dockerignore", "docs/infra-integration.md"]) {
      expect(existsSync(join(ROOT, path)), path).toBe(true);
    }
  });

  it("have one version", async () => {
    const { version } = JSON.parse(read("package.json")) as { readonly version: string };
    expect((await health()).version).toBe(version);
    expect(read("Dockerfile")).toContain(`org.opencontainers.image.version="${version}"`);
    expect(read("CHANGELOG.md")).toMatch(new RegExp(`^## ${version.replaceAll(".", "\\.")}`, "m"));
    const images = read("infra/docker-compose.yml").match(/market-data-store:\d[\w.]*/g);
    expect(new Set(images)).toEqual(new Set([`market-data-store:${version}`]));
  });
});

describe("Dockerfile Highlights", () => {
  const image = read("Dockerfile").replaceAll(/\\\n\s*/g, "");

  it.each([
    ["an ordinary user, 999", /groupadd -r -g 999 appuser && useradd -r -u 999 -g appuser .*^USER appuser$/ms],
    ["port 8082", /^ENV .*\bPORT=8082\b.*^EXPOSE 8082$/ms],
    [
      "a health check",
      /^HEALTHCHECK --interval=10s --timeout=3s --retries=3 --start-period=20s CMD curl -fsS http:\/\/localhost:\$\{PORT\}\/health \|\| exit 1$/m,
    ],
    ["curl", /apt-get install -y --no-install-recommends curl /],
    ["the service as its command, without a shell that would take its signals", /^CMD \["mds", "serve"\]$/m],
    ["a slim base of Debian 12", /^ARG NODE_IMAGE=node:24-bookworm-slim$/m],
  ])("has %s", (_, text) => {
    expect(image).toMatch(text);
  });
});

describe("Health Endpoints", () => {
  it.each(["/health", "/healthz"])("%s has the fields that were shown", async (path) => {
    const answer = await get(path);
    expect(answer.status).toBe(200);
    const body = (await answer.json()) as Record<string, unknown>;
    expect(Object.keys(body).sort()).toEqual(["components", "service", "state", "ts", "version"]);
    expect(body).toMatchObject({ service: "market-data-store", state: "healthy", version: expect.any(String) });
    for (const name of ["database", "prometheus"]) {
      expect(body["components"]).toContainEqual(expect.objectContaining({ name, state: "healthy" }));
    }
    expect(Math.abs(Number(body["ts"]) - Date.now() / 1_000)).toBeLessThan(60);
  });

  it("/readyz is strict: 503 while the database is out of reach, where /health says degraded", async () => {
    expect((await get("/readyz")).status).toBe(200);
    proxy.cut();
    await until(async () => expect((await get("/readyz")).status).toBe(503));
    const answer = await get("/health");
    expect([answer.status, healthStatus.parse(await answer.json()).state]).toEqual([200, "degraded"]);
    proxy.heal();
    await until(async () => expect((await get("/readyz")).status).toBe(200));
    await untilHealthy();
  });

  it("/metrics is in Prometheus' format", async () => {
    const answer = await get("/metrics");
    expect(answer.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(await answer.text()).toMatch(/^# TYPE store_up gauge\nstore_up 1$/m);
  });
});

describe("Infra Hub Checklist", () => {
  it("environment variables are read from .env", async () => {
    expect(store.running.output.stderr).toContain(`database ${database.name} at `);
    expect((await health()).components.map(({ name }) => name)).toContain("registry");
  });

  it("SIGTERM ends it gracefully, and it starts again", async () => {
    store.running.child.kill("SIGTERM");
    expect(await finished(store.running)).toMatchObject({ code: 0, stdout: expect.stringContaining("Stopped.") });
    store = await start(["serve"]);
    await untilHealthy();
  });
});

describe("Service Dependencies", () => {
  it("requires the registry, which answers GET /health", async () => {
    const answer = await fetch(`${registry.url}/health`);
    expect([answer.status, await answer.json()]).toEqual([
      200,
      expect.objectContaining({ service: "schema-registry", state: "healthy" }),
    ]);
  });

  it("provides database writes to a pipeline", async () => {
    const { token } = await makeTenantWithToken(database, "pipeline");
    const headers = { authorization: `Bearer ${token}` };
    expect((await get("/v1/bars", { method: "POST", headers, body: barLine(1) })).status).toBe(202);
    await until(async () => expect(await database.sql("select from store.bars_data")).toHaveLength(1));
  });

  it("provides the control plane to an orchestrator, and metrics to Prometheus", async () => {
    const headers = { authorization: `Bearer ${TOKEN}` };
    expect((await get("/jobs", { headers })).status).toBe(200);
    expect((await get("/metrics")).status).toBe(200);
  });
});

describe(`Testing${curl.missing}`, () => {
  it.skipIf(curl.missing)("its commands find what they look for", async () => {
    const shell = async (command: string): Promise<string> => (await run("sh", ["-c", command])).stdout;
    expect(await shell(`curl ${store.url}/health`)).toContain('"state":"healthy"');
    expect((await shell(`curl -fsS ${store.url}/metrics | head -20`)).split("\n").length).toBe(21);
  });
});

describe("Validation", () => {
  it.each([
    ["build succeeds", /store bud .*--tag store:check/s],
    ["the health check works", /inside "\$\(image '\.config\.Healthcheck\.Test\[1\]'\)"/],
    ["id is uid=999(appuser) gid=999(appuser)", /inside id .*"uid=999\(appuser\) gid=999\(appuser\)"/],
    ["metrics are exposed", /expect "store_up"/],
    ["8082/tcp is the port", /expect "exposed ports" .* "8082\/tcp"/],
  ])("%s, on the image itself, by a script that CI runs", (_, check) => {
    expect(read("scripts/image-check.sh")).toMatch(check);
    expect(read(".ci/run")).toContain("./scripts/image-check.sh");
  });
});

describe("Documentation", () => {
  it("has the guide, with endpoints, variables, metrics and troubleshooting, and README leads to it", () => {
    const headings = read("docs/infra-integration.md").match(/(?<=^## ).*$/gm);
    expect(headings).toEqual(
      expect.arrayContaining(["Start", "The image", "Variables", "Endpoints", "Metrics", "Troubleshooting"]),
    );
    expect(read("README.md")).toContain("(docs/infra-integration.md)");
  });

  it("says where every other promise is kept", () => {
    const table = read("docs/infra-integration.md").split("## What the platform was promised")[1]!;
    const files = table.match(/(?:test|src|scripts)\/[\w./-]+\.(?:ts|sh)/g)!;
    expect(files.length).toBeGreaterThan(10);
    expect(files.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });
});

describe("Breaking Changes", () => {
  it("None: /healthz stays beside /health and says the same", async () => {
    const [one, other] = [await health("/health"), await health("/healthz")];
    expect({ ...one, ts: 0 }).toEqual({ ...other, ts: 0 });
  });
});
