/**
 * A real Prometheus for tests: on a free port of the loopback interface, with the hub's rules, scraping every second what it
 * is told to. Ended with the tests.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const READY_DEADLINE_MS = 20_000;
const POLL_MS = 50;

interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  /** Time and value. */
  readonly value: readonly [number, string];
}

export interface Rule {
  readonly name: string;
  readonly health: string;
  readonly lastError?: string;
  /** inactive, pending or firing. */
  readonly state: string;
}

export interface PrometheusServer {
  /** @throws Error when it refuses the expression, or warns of it. */
  query(expr: string): Promise<readonly Sample[]>;
  rules(): Promise<readonly Rule[]>;
  stop(): Promise<void>;
}

/** @param services - Addresses, host:port, by the label `service`. */
export async function startPrometheus(
  binary: string,
  rulesFile: string,
  services: Readonly<Record<string, string>>,
): Promise<PrometheusServer> {
  const folder = await mkdtemp(join(tmpdir(), "mds-prometheus-"));
  await copyFile(rulesFile, join(folder, "rules.yml"));
  const configs = Object.entries(services).map(([service, target]) => ({ targets: [target], labels: { service } }));
  // JSON is YAML.
  const config = {
    global: { scrape_interval: "1s", evaluation_interval: "1s" },
    rule_files: ["rules.yml"],
    scrape_configs: [{ job_name: "market-data-services", static_configs: configs }],
  };
  await writeFile(join(folder, "prometheus.yml"), JSON.stringify(config));
  const address = `127.0.0.1:${await freePort()}`;
  const flags = [
    `--config.file=${folder}/prometheus.yml`,
    `--storage.tsdb.path=${folder}/data`,
    `--web.listen-address=${address}`,
  ];
  const child = spawn(binary, [...flags, "--log.level=error"], { stdio: "ignore" });
  const killNow = (): boolean => child.kill("SIGKILL");
  process.once("exit", killNow);
  const get = async (path: string): Promise<Response> => fetch(`http://${address}${path}`);
  const isReady = (): Promise<boolean> =>
    get("/-/ready").then(
      (answer) => answer.ok,
      () => false,
    );
  const deadline = performance.now() + READY_DEADLINE_MS;
  while (!(await isReady())) {
    if (child.exitCode !== null || performance.now() > deadline) throw new Error("Prometheus did not start.");
    await sleep(POLL_MS);
  }
  return {
    query: async (expr) => {
      const answer = (await (await get(`/api/v1/query?query=${encodeURIComponent(expr)}`)).json()) as {
        readonly status: string;
        readonly error?: string;
        readonly warnings?: readonly string[];
        readonly data: { readonly result: readonly Sample[] };
      };
      if (answer.status !== "success" || answer.warnings !== undefined) {
        throw new Error(`${expr}: ${answer.error ?? answer.warnings?.join(" ")}`);
      }
      return answer.data.result;
    },
    rules: async () => {
      const answer = (await (await get("/api/v1/rules")).json()) as {
        readonly data: { readonly groups: readonly { readonly rules: readonly Rule[] }[] };
      };
      return answer.data.groups.flatMap((group) => group.rules);
    },
    stop: async () => {
      process.off("exit", killNow);
      if (child.exitCode === null && child.signalCode === null) {
        killNow();
        await once(child, "exit");
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
