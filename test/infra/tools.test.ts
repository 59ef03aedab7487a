/** The hub's files before the tools that will read them: promtool, amtool, docker-compose and make. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type InstalledTool, toolOrWarning } from "../support/installed-tool.ts";
import { ROOT, read } from "../support/monitoring-files.ts";

const run = promisify(execFile);
const INFRA = join(ROOT, "infra");
const promtool = await toolOrWarning("promtool", "prometheus", "the alerting rules");
const amtool = await toolOrWarning("amtool", "prometheus-alertmanager", "the configuration of Alertmanager");
const compose = await toolOrWarning("docker-compose", "docker-compose", "the compose file");
const make = await toolOrWarning("make", "make", "the make targets");

const output = async ({ path }: InstalledTool, ...args: string[]): Promise<string> =>
  (await run(path!, args, { cwd: INFRA })).stdout;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mds-infra-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe(`Prometheus${promtool.missing}`, () => {
  it.skipIf(promtool.missing)("R38 fires and keeps quiet in each case as it should", async () => {
    expect(await output(promtool, "test", "rules", "prometheus/tests/store.yml")).toContain("SUCCESS");
  });

  it.skipIf(promtool.missing)("takes the configuration and the rules", async () => {
    expect(await output(promtool, "check", "config", "prometheus/prometheus.yml")).toContain("SUCCESS: 15 rules found");
  });
});

it.skipIf(amtool.missing)(`Alertmanager takes its configuration${amtool.missing}`, async () => {
  expect(await output(amtool, "check-config", "alertmanager/alertmanager.yml")).toContain("SUCCESS");
});

describe(`Compose Service Definition${compose.missing}`, () => {
  const PROFILES = ["db", "registry", "store", "redis", "monitoring"];
  const settings = (): string => read("infra/.env.example").replaceAll(/^(\w*PASSWORD)=$/gm, "$1=secret");
  const config = async (env: string, profiles: readonly string[]): Promise<string> => {
    const file = join(folder, "env");
    await writeFile(file, env);
    return output(compose, "--env-file", file, ...profiles.flatMap((name) => ["--profile", name]), "config");
  };

  it.skipIf(compose.missing)("is read by docker-compose, with every service", async () => {
    const text = await config(settings(), PROFILES);
    const services = ["alertmanager", "grafana", "postgres", "prometheus", "redis", "registry", "store"];
    expect(text.match(/^ {2}\w+(?=:\n {4})/gm)?.map((name) => name.trim())).toEqual(expect.arrayContaining(services));
    expect(text).toContain("postgres://mds_service:secret@postgres:5432/market_data");
  });

  it.skipIf(compose.missing)("does not start with an empty password", async () => {
    await expect(config(read("infra/.env.example"), ["db"])).rejects.toThrow("set it in .env");
  });

  it.skipIf(compose.missing)("R35 publishes the port on which the image listens", async () => {
    const text = await config(settings(), PROFILES);
    const store = /^ {2}store:\n(?: {4}.*\n)+/m.exec(text)![0];
    const image = readFileSync(join(ROOT, "Dockerfile"), "utf8");
    expect(image).toMatch(/^ENV .*\bPORT=8082\b/m);
    expect(image).toMatch(/^EXPOSE 8082$/m);
    expect(store).toMatch(/PORT: '?8082/);
    expect(store).toMatch(/published: 8082\n\s+target: 8082|8082:8082/);
    expect(store).toContain("curl -fsS http://localhost:8082/health || exit 1");
    expect(read("infra/prometheus/prometheus.yml")).toContain('targets: ["store:8082"]');
  });

  it.skipIf(compose.missing)("has what was promised: what it waits for, how it is asked, its network", async () => {
    const text = await config(settings(), PROFILES);
    const store = /^ {2}store:\n(?: {4}.*\n)+/m.exec(text)![0];
    for (const other of ["postgres", "registry"])
      expect(store).toContain(`${other}:\n        condition: service_healthy`);
    expect(store).toMatch(/interval: 10s\n {6}retries: 10\n[\s\S]*timeout: 3s/);
    expect(store).toMatch(/REGISTRY_TRACK: v1\n {6}REGISTRY_URL: http:\/\/registry:8080\n/);
    expect(store).toMatch(/container_name: store\n[\s\S]*networks:\n {6}mdnet:/);
  });

  it.skipIf(compose.missing)("that the guide shows for another hub is one", async () => {
    const shown = read("docs/infra-integration.md").split("```yaml\n")[1]!.split("```")[0]!;
    for (const beside of ["hub", "market-data-store"]) await mkdir(join(folder, beside));
    const file = join(folder, "hub/docker-compose.yml");
    const rest = `\n  postgres: {image: p}\n  registry: {image: r}\nnetworks: {mdnet: {}}\nvolumes: {store-data: {}}\n`;
    await writeFile(file, `version: "3.9"\nservices:\n${shown.replaceAll(/^/gm, "  ")}${rest}`);
    const text = await output(compose, "-f", file, "--profile", "store", "config");
    for (const part of ["container_name: store", "curl -fsS http://localhost:8082/health", "/var/lib/mds"]) {
      expect(text).toContain(part);
    }
  });

  it("takes every variable that it uses, and no others, from .env.example", () => {
    const named = new Set(read("infra/docker-compose.yml").match(/(?<=[^$]\$\{)[A-Z_]+/g));
    const given = new Set(
      read("infra/.env.example")
        .match(/^(?:# )?[A-Z_]+(?==)/gm)
        ?.map((name) => name.replace("# ", "")),
    );
    const images = ["REDIS_IMAGE", "PROMETHEUS_IMAGE", "ALERTMANAGER_IMAGE", "GRAFANA_IMAGE"];
    expect([...named].filter((name) => !given.has(name) && !images.includes(name))).toEqual([]);
    expect([...given].filter((name) => !named.has(name))).toEqual([]);
  });
});

describe(`Usage from Infra Hub${make.missing}`, () => {
  const TARGETS = [
    "up-store",
    "down-store",
    "up-monitoring",
    "down-monitoring",
    "up",
    "down",
    "reset",
    "ps",
    "logs",
    "health",
    "metrics",
  ];
  it.skipIf(make.missing).each(TARGETS)("make %s is there, in infra/ and from the root", async (target) => {
    // -n also makes what a recipe needs first; a settings file of its own keeps it from being made.
    for (const at of [ROOT, INFRA]) {
      const { stdout } = await run(make.path!, ["-n", "-o", ".env", "-C", at, target, "COMPOSE=docker-compose"]);
      expect(stdout).not.toBe("");
    }
  });

  it.skipIf(make.missing).each(TARGETS.filter((name) => name !== "metrics"))(
    "make %s says in one sentence that no container engine answers",
    async (target) => {
      const failed = await run(make.path!, ["-s", "-C", INFRA, target, "DOCKER=false", "COMPOSE=false"]).catch(
        (error) => error,
      );
      expect(failed.stdout).toBe("");
      expect(failed.stderr).toMatch(/^No container engine answers \(false info\): [^\n]+\.\nmake: [^\n]+\n$/);
    },
  );
});
