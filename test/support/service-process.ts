/**
 * The service as a process of its own, on a fake database that the parent steers: `hold`, `release`, `hang`, `throw`.
 * Arguments: a JSON object that overrides the configuration. Its log is its standard output.
 */

import { runService } from "../../src/service/server.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { StoreMetrics } from "../../src/telemetry/metrics.ts";
import { FakeServiceDatabase } from "./fake-service-database.ts";

const database = new FakeServiceDatabase();
const commands: Readonly<Record<string, () => void>> = {
  hold: () => database.hold(),
  release: () => database.release(),
  hang: () => {
    database.mode = "hanging";
  },
  throw: () => {
    throw new TypeError("A fault with postgres://mds:hunter2@db in it.");
  },
  reject: () => void Promise.reject(new TypeError("A fault that nobody caught.")),
};
process.on("message", (command: string) => commands[command]?.());

const overrides = JSON.parse(process.argv[2] ?? "{}") as object;
const config = { host: "127.0.0.1", port: 0, migrateOnStart: true, shutdownTimeoutMs: 5_000, ...overrides };
const log = createLogger({ level: "info" });
try {
  process.exit(await runService({ config, database, log, metrics: new StoreMetrics() }));
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
