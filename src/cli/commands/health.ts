/** `mds health`: asks a running service over HTTP. Ends with 1 when it is unhealthy or does not answer. */
import type { Command } from "commander";
import type { Config } from "../../config/settings.ts";
import { type HealthStatus, healthStatus } from "../../contracts/health-status.ts";
import { messageOf, StoreError } from "../../errors/store-error.ts";
import { addExamples, addJsonFlag } from "../flags.ts";
import { EXIT, type Shell } from "../shell.ts";
import { tableText } from "../table.ts";

/** The service answers from memory; this is long enough for a slow network. */
const ANSWER_DEADLINE_MS = 5_000;

interface HealthFlags {
  readonly url?: string;
  readonly json?: boolean;
}

export function health(command: Command, shell: Shell): void {
  command.option("--url <url>", "the service; else the one on this machine's PORT");
  addJsonFlag(command).action(async (flags: HealthFlags) => {
    const url = flags.url ?? localUrl(shell.configure({}).values);
    const status = await fetchStatus(url);
    if (flags.json) await shell.output.json(status);
    else await shell.output.data(text(url, status));
    if (status.state === "unhealthy") shell.exitCode = EXIT.failed;
  });
  addExamples(command, "npx mds health", "npx mds health --url http://store.example:8082 --json");
}

function localUrl({ host, port }: Config): string {
  const isAny = host === "0.0.0.0" || host === "::";
  const address = isAny ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
  return `http://${address}:${port}`;
}

async function fetchStatus(url: string): Promise<HealthStatus> {
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? "")) {
    throw new StoreError("usage", `--url is "${url}"; it must be an http or https URL such as http://127.0.0.1:8082.`);
  }
  try {
    const address = new URL("health", url.endsWith("/") ? url : `${url}/`);
    const response = await fetch(address, { signal: AbortSignal.timeout(ANSWER_DEADLINE_MS) });
    return healthStatus.parse(await response.json());
  } catch (error) {
    throw new StoreError("service_unreachable", `No store answers at ${url}: ${reasonOf(error)}.`, { cause: error });
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `there was no answer within ${ANSWER_DEADLINE_MS} ms`;
  if (error.name === "ZodError" || error instanceof SyntaxError) return "what answers there is something else";
  const cause = error.cause instanceof AggregateError ? error.cause.errors[0] : error.cause;
  return messageOf(cause ?? error);
}

function text(url: string, { state, version, components }: HealthStatus): string {
  const rows = components.map(({ name, state: own, details }) => [
    name,
    own,
    Object.entries(details ?? {})
      .map(([key, value]) => `${key}=${value}`)
      .join(" "),
  ]);
  const table = tableText([{ name: "component" }, { name: "state" }, { name: "details" }], rows);
  return `The store at ${url} is ${state} (version ${version}).\n${table}`;
}
