/**
 * The schema registry as a process: it listens at once and waits in the open for a database that is away. Reading is for
 * everybody who reaches it; publishing needs the token, and without one the registry is read-only.
 */
import type { AddressInfo } from "node:net";
import { packageVersion } from "../config/version.ts";
import type { HealthStatus } from "../contracts/health-status.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";
import { bearerGuard } from "../http/bearer-guard.ts";
import { createHttpServer } from "../http/create-http-server.ts";
import { withDeadline } from "../resilience/with-deadline.ts";
import type { Logger } from "../telemetry/logger.ts";
import { RegistryMetrics } from "../telemetry/registry-metrics.ts";
import { SchemaVersions } from "./schema-versions.ts";
import { addRegistryRoutes } from "./server-routes.ts";

/** A check's age, so that many who ask cost one query. */
const HEALTH_CACHE_MS = 1_000;
const HEALTH_DEADLINE_MS = 800;
/** Requests are short; what is left after this time is cut off. */
const CLOSE_TIMEOUT_MS = 5_000;

interface RegistryServerOptions {
  readonly host: string;
  readonly port: number;
  readonly databaseUrl: string;
  /** Direct connection of a login that may make the registry's schema, for the first start. */
  readonly adminUrl?: string;
  /** Bearer token of those who publish; without it nobody does. */
  readonly token: string | undefined;
  readonly log: Logger;
}

export interface RegistryServer {
  readonly url: string;
  close(): Promise<void>;
}

/** @throws StoreError `listen_failed`. */
export async function startRegistryServer(options: RegistryServerOptions): Promise<RegistryServer> {
  const { host, port, databaseUrl, adminUrl = databaseUrl, token, log } = options;
  const metrics = new RegistryMetrics();
  const versions = new SchemaVersions({
    url: databaseUrl,
    adminUrl,
    onIdleError: (error) => log.warn({ reason: error.message }, "An idle connection broke."),
  });
  const guard = bearerGuard({ token, disabled: readOnly, log });
  const health = healthOf(versions, log);
  const app = createHttpServer({
    log,
    metrics,
    routes: (routes) => addRegistryRoutes(routes, { versions, metrics, guard, health }),
  });
  metrics.watchProcess();
  try {
    await app.listen({ host, port });
  } catch (cause) {
    await Promise.allSettled([app.close(), versions.close()]);
    throw new StoreError("listen_failed", `The registry cannot listen on ${host}:${port}: ${messageOf(cause)}.`, {
      cause,
    });
  }
  void health();
  const { port: actual } = app.server.address() as AddressInfo;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${actual}`,
    close: async () => {
      const cut = setTimeout(() => app.server.closeAllConnections(), CLOSE_TIMEOUT_MS);
      app.server.closeIdleConnections();
      await app.close();
      clearTimeout(cut);
      await versions.close();
    },
  };
}

function readOnly(): StoreError {
  return new StoreError(
    "registry_read_only",
    "This registry was started without REGISTRY_TOKEN, so nobody can publish.",
  );
}

/** The last check, at most a second old; a change is logged once. */
function healthOf(versions: Pick<SchemaVersions, "ping">, log: Logger): () => Promise<HealthStatus> {
  let checking: Promise<HealthStatus> | undefined;
  let checkedAt = -Infinity;
  let wasHealthy: boolean | undefined;
  const check = async (): Promise<HealthStatus> => {
    const fault = await withDeadline(HEALTH_DEADLINE_MS, () => versions.ping()).then(
      () => undefined,
      (error: unknown) => (error instanceof StoreError ? error : new StoreError("internal", messageOf(error))),
    );
    if ((fault === undefined) !== wasHealthy) {
      if (fault === undefined) log.info({}, "The registry's database answers.");
      else log.warn({ err: fault }, "The registry's database does not answer; it is tried again.");
    }
    wasHealthy = fault === undefined;
    const state = wasHealthy ? "healthy" : "degraded";
    return {
      service: "schema-registry",
      state,
      components: [{ name: "database", state, ...(fault && { details: { code: fault.code } }) }],
      version: packageVersion(),
      ts: Date.now() / 1_000,
    };
  };
  return () => {
    if (checking === undefined || performance.now() - checkedAt >= HEALTH_CACHE_MS) {
      checkedAt = performance.now();
      checking = check();
    }
    return checking;
  };
}
