/**
 * The real service as a process of its own, on a database of the test, and the typed client that steers it. Its jobs run
 * as they do for operators: the real runner, the queue in the database, and the timing of production.
 */
import { vi } from "vitest";
import { type ControlClient, createControlClient } from "../../src/control/control-client.ts";
import { type RunningCommand, scratchFolder, startMds } from "./mds-command.ts";
import type { TestDatabase } from "./test-database.ts";

const ADMIN_TOKEN = "correct-horse-battery-staple";
/** A process has to start first, on a machine that may be busy. */
const PATIENCE_MS = 30_000;

export interface ControlPlane {
  readonly url: string;
  readonly control: ControlClient;
  readonly output: RunningCommand["output"];
  /** A request with the admin token; the body as JSON. */
  send(method: string, path: string, options?: { readonly body?: unknown; readonly key?: string }): Promise<Response>;
  /** Lines of `/metrics` that begin like this, not older than the call. */
  metric(beginning: string): Promise<string[]>;
  /** As an operator stops it. */
  stop(): Promise<void>;
  /** As kill -9 does. */
  kill(): Promise<void>;
}

/** Started, listening, and able to take jobs; ready only where the database is migrated. */
export async function startControlPlane(
  database: Pick<TestDatabase, "url" | "adminUrl">,
  environment: Readonly<Record<string, string>> = {},
): Promise<ControlPlane> {
  const folder = await scratchFolder();
  const service = startMds(["serve", "--host", "127.0.0.1", "--port", "0"], {
    cwd: folder.path,
    env: { DATABASE_URL: database.url, ADMIN_DATABASE_URL: database.adminUrl, ADMIN_TOKEN, ...environment },
  });
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    service.child.kill(signal);
    await service.done;
    await folder.remove();
  };
  try {
    const url = await eventually(() => /"url":"(http[^"]+)"/.exec(service.output.stdout)![1]!);
    const control = createControlClient({ baseUrl: url, token: ADMIN_TOKEN });
    await eventually(() => control.jobs());
    return {
      url,
      control,
      output: service.output,
      send: (method, path, options) => send(url, method, path, options),
      metric: (beginning) => metricLines(url, beginning),
      stop: () => end("SIGTERM"),
      kill: () => end("SIGKILL"),
    };
  } catch (error) {
    await end("SIGKILL");
    throw error;
  }
}

const eventually = <T>(read: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(read, { timeout: PATIENCE_MS, interval: 50 });

function send(
  url: string,
  method: string,
  path: string,
  { body, key }: { readonly body?: unknown; readonly key?: string } = {},
): Promise<Response> {
  return fetch(`${url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${ADMIN_TOKEN}`,
      ...(body !== undefined && { "content-type": "application/json" }),
      ...(key !== undefined && { "idempotency-key": key }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

async function metricLines(url: string, beginning: string): Promise<string[]> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return text.split("\n").filter((line) => line.startsWith(beginning));
}
