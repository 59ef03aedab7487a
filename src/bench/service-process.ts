/** The real service as a process of its own, as `npm start` runs it: found when it listens, waited for, stopped. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { StoreError } from "../errors/store-error.ts";
import { COMMAND, memoryOf, processorMsOf } from "./command-process.ts";
import { goOn } from "./measure.ts";

const START_DEADLINE_MS = 30_000;
const STOP_DEADLINE_MS = 15_000;
/** How closely the moment of readiness is told. */
const POLL_MS = 5;

export interface ServiceProcess {
  /** Where it listens. */
  readonly url: string;
  /** From the start of the process, in ms, until it was ready. */
  untilReady(signal: AbortSignal): Promise<number>;
  /** Resident memory in bytes; null where the system does not tell. */
  residentBytes(): Promise<number | null>;
  /** Processor time so far; null where the system does not tell. */
  processorMs(): Promise<number | null>;
  stop(): Promise<void>;
}

/** Starts `mds serve` on a free port of the loopback address; `environment` is all of its environment. */
export async function startServiceProcess(
  folder: string,
  environment: Readonly<Record<string, string>>,
  command = COMMAND,
): Promise<ServiceProcess> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [command, "serve"], {
    cwd: folder,
    env: { HOST: "127.0.0.1", PORT: "0", ...environment },
    stdio: ["ignore", "pipe", "ignore"],
  });
  try {
    const url = await listening(child);
    return {
      url,
      untilReady: async (signal) => {
        while (!(await answers(`${url}/readyz`))) {
          goOn(signal);
          if (performance.now() - startedAt > START_DEADLINE_MS) throw late("did not become ready");
          await wait(POLL_MS);
        }
        return performance.now() - startedAt;
      },
      residentBytes: () => memoryOf(child.pid, "VmRSS"),
      processorMs: () => processorMsOf(child.pid),
      stop: () => stop(child),
    };
  } catch (error) {
    await stop(child);
    throw error;
  }
}

/** The address out of the log, which goes on being read, so that the service never waits for its reader. */
async function listening(child: ChildProcess): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const log = createInterface({ input: child.stdout! });
  log.on("line", (line) => {
    const url = /"url":"(http:[^"]+)"/.exec(line)?.[1];
    if (url) resolve(url);
  });
  child.once("error", reject);
  child.once("exit", (code) => reject(late(`ended with exit code ${code}`)));
  const deadline = setTimeout(() => reject(late("did not listen")), START_DEADLINE_MS);
  return promise.finally(() => clearTimeout(deadline));
}

async function answers(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(START_DEADLINE_MS) }).catch(() => undefined);
  await response?.body?.cancel();
  return response?.ok === true;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const force = setTimeout(() => child.kill("SIGKILL"), STOP_DEADLINE_MS);
  await ended;
  clearTimeout(force);
}

function late(what: string): StoreError {
  return new StoreError("deadline_exceeded", `The service of the benchmark ${what}; \`mds serve\` by hand says why.`);
}
