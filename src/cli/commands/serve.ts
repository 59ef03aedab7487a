/**
 * `mds serve`: the service, on the database that is set or else on an embedded one. Logs JSON lines on stdout; on
 * stderr it says once, when it is ready, where everything is.
 */
import type { Command } from "commander";
import { chooseDatabaseUrl } from "../../config/choose-database-url.ts";
import type { LoadedConfig } from "../../config/load.ts";
import { isSuperuser } from "../../database/server-facts.ts";
import { StoreDatabase } from "../../database/store-database.ts";
import { backfillAccess } from "../../jobs/backfill/backfill-access.ts";
import { builtInJobs } from "../../jobs/built-in-jobs.ts";
import { JobRunner, type JobUrls } from "../../jobs/runner.ts";
import { SERVICE_GROUP } from "../../jobs/session-name.ts";
import { createIngest } from "../../service/create-ingest.ts";
import { runService } from "../../service/server.ts";
import { createLogger, type Logger } from "../../telemetry/logger.ts";
import { StoreMetrics } from "../../telemetry/metrics.ts";
import { type KeptAdminToken, keepAdminToken } from "../admin-token-file.ts";
import { addExamples } from "../flags.ts";
import { SAME_SIGNAL_MS } from "../interruption.ts";
import type { Output } from "../output.ts";
import { EXIT, type Shell } from "../shell.ts";

interface ServeFlags {
  readonly dsn?: string;
  readonly host?: string;
  readonly port?: string;
}

export function serve(command: Command, shell: Shell): void {
  command
    .option("--dsn <url>", "the database; else DATABASE_URL, or an embedded one (better kept in the environment)")
    .option("--host <address>", "where to listen; else HOST, or 0.0.0.0")
    .option("--port <port>", "where to listen; else PORT, or 8082")
    .action(async (flags: ServeFlags) => {
      const config = shell.configure({ dsn: flags.dsn, host: flags.host, port: flags.port });
      const log = createLogger({ level: config.values.logLevel });
      // A terminal that is closed must not leave the embedded database behind.
      const onHangUp = (): boolean => process.kill(process.pid, "SIGTERM");
      process.once("SIGHUP", onHangUp);
      const url = chooseDatabaseUrl(config, { as: "service" });
      shell.exitCode =
        url === undefined
          ? await serveEmbedded(shell.output, config, log)
          : await serveGiven(shell.output, config, log, url);
      process.off("SIGHUP", onHangUp);
    });
  addExamples(command, "npx mds serve", "DATABASE_URL=postgresql://user:password@host/db npx mds serve --port 9000");
}

async function serveGiven(output: Output, config: LoadedConfig, log: Logger, url: string): Promise<number> {
  const adminUrl = chooseDatabaseUrl(config, { as: "service", admin: true });
  const database = new StoreDatabase({
    url,
    ...(adminUrl !== undefined && { adminUrl }),
    engine: config.values.engine,
    maxConnections: config.values.databasePoolSize,
    onIdleError: (error) => log.warn({ reason: error.message }, "An idle connection broke."),
  });
  const metrics = new StoreMetrics();
  return runService({
    config: config.values,
    platform: config.values,
    adminToken: config.values.adminToken,
    database,
    jobs: serviceJobs(config, log, metrics, async () => ({ url, adminUrl: adminUrl ?? url })),
    ingest: createIngest({ config: config.values, url: async () => url, log, metrics }),
    log,
    metrics,
    onReady: (listening) => {
      tellReady(output, listening, databaseName(url));
      void warnOfSuperuser(log, url);
    },
  });
}

async function serveEmbedded(output: Output, config: LoadedConfig, log: Logger): Promise<number> {
  const { dataDir, adminToken } = config.values;
  const kept = adminToken === undefined ? await keepAdminToken(dataDir) : undefined;
  let lost: { readonly error: unknown } | undefined;
  const { EmbeddedServiceDatabase } = await import("../embedded-service-database.ts");
  const database = EmbeddedServiceDatabase.start({
    dataDir,
    engine: config.values.engine,
    maxConnections: config.values.databasePoolSize,
    log,
    onLost: (error) => {
      lost = { error };
      // Ends the service in order, as an operator would.
      process.kill(process.pid, "SIGTERM");
    },
  });
  // Once the service has stopped, a further signal still ends the process at once, and the server with it.
  let stoppedAt = 0;
  const endAtOnce = (): void => {
    if (performance.now() - stoppedAt > SAME_SIGNAL_MS) process.exit(EXIT.failed);
  };
  const metrics = new StoreMetrics();
  try {
    const exitCode = await runService({
      config: config.values,
      platform: config.values,
      adminToken: adminToken ?? kept?.token,
      database,
      jobs: serviceJobs(config, log, metrics, () => database.urls()),
      ingest: createIngest({
        config: config.values,
        url: async () => (await database.urls()).url,
        log,
        metrics,
      }),
      log,
      metrics,
      onReady: (listening) => {
        tellReady(output, listening, `${database.folder} (an embedded PostgreSQL, for this machine)`, kept);
      },
    });
    stoppedAt = performance.now();
    process.on("SIGINT", endAtOnce).on("SIGTERM", endAtOnce);
    await database.stopServer();
    if (lost !== undefined) throw lost.error;
    return exitCode;
  } finally {
    await database.stopServer();
    process.off("SIGINT", endAtOnce).off("SIGTERM", endAtOnce);
  }
}

function serviceJobs(
  config: LoadedConfig,
  log: Logger,
  metrics: StoreMetrics,
  urls: () => Promise<JobUrls>,
): JobRunner {
  const definitions = builtInJobs(backfillAccess(config), (applied) => metrics.countMigrations(applied));
  return new JobRunner({ urls, definitions, group: SERVICE_GROUP, work: config.values.jobsEnabled, log, metrics });
}

function databaseName(url: string): string {
  const { host, pathname, searchParams } = new URL(url);
  return `database ${pathname.slice(1)} at ${searchParams.get("host") ?? host}`;
}

async function warnOfSuperuser(log: Logger, url: string): Promise<void> {
  // The service is ready; that a moment later the database is away shows in its health.
  if (!(await isSuperuser(url).catch(() => false))) return;
  log.warn(
    "The service's login is a superuser, whom PostgreSQL lets see every tenant; use an ordinary one in DATABASE_URL and " +
      "the superuser in ADMIN_DATABASE_URL alone.",
  );
}

/** Told to a terminal when it is made; what else reads this output may keep it. */
function adminTokenText(output: Output, { token, path, isNew }: KeptAdminToken): string {
  return isNew && output.showsProgress ? `token ${token} (kept in ${path})` : `token in ${path}`;
}

function tellReady(output: Output, listening: string, data: string, kept?: KeptAdminToken): void {
  const url = listening.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
  const lines = [
    `The store is ready at ${url} (${(performance.now() / 1_000).toFixed(1)} s after its start).`,
    `  health  ${url}/health`,
    `  data    ${data}`,
    ...(kept === undefined ? [] : [`  admin   ${adminTokenText(output, kept)}`]),
    "  ingest  npx mds ingest bars FILE --set vendor=NAME --set timeframe=1m",
    "  query   npx mds query bars --symbol SYMBOL --limit 10",
    "  latest  npx mds latest --vendor NAME SYMBOL",
    "  stop    Ctrl-C",
  ];
  output.note(lines.join("\n"));
}
