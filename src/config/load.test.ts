import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { StoreError } from "../errors/store-error.ts";
import { chooseDatabaseUrl } from "./choose-database-url.ts";
import { loadConfig, readConfig } from "./load.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const envFile = (text: string) => ({ path: ".env", bytes: bytes(text) });

function faultOf(run: () => unknown): StoreError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(StoreError);
    return error as StoreError;
  }
  return expect.unreachable("nothing was thrown");
}

describe("loadConfig", () => {
  it("takes a flag before the environment, that before .env, that before the default", () => {
    const env = { PORT: "1001", HOST: "from-env" };
    const file = envFile("PORT=1002\nHOST=from-file\nLOG_LEVEL=warn\n");
    const { values, sources } = loadConfig({ env, envFile: file, flags: { port: "1000" } });
    expect(values).toMatchObject({ port: 1000, host: "from-env", logLevel: "warn", tenant: "default" });
    expect(sources).toMatchObject({ port: "flag", host: "environment", logLevel: ".env", tenant: "default" });
  });

  it("reads folders, hosts and credentials of backfills, and shows no credential", () => {
    const env = {
      MDS_BACKFILL_DIRS: "/data/a:/data/b",
      MDS_BACKFILL_HOSTS: "Files.example, 10.0.0.1:8080 [::1]:80",
      MDS_BACKFILL_CREDENTIAL_ARCHIVE: "abc.def",
    };
    const { values, backfillCredentials, warnings } = loadConfig({ env });
    expect(values.backfillDirs).toEqual(["/data/a", "/data/b"]);
    expect(values.backfillHosts).toEqual(["files.example", "10.0.0.1:8080", "[::1]:80"]);
    expect([...backfillCredentials]).toEqual([["MDS_BACKFILL_CREDENTIAL_ARCHIVE", "abc.def"]]);
    expect(warnings).toEqual([]);
    const wrong = {
      MDS_BACKFILL_DIRS: "data",
      MDS_BACKFILL_HOSTS: "https://x",
      MDS_BACKFILL_CREDENTIAL_X: "two words",
    };
    const fault = faultOf(() => loadConfig({ env: wrong }));
    expect(fault.message).toMatch(/^3 settings are wrong/);
    expect(fault.message).not.toContain("two words");
  });

  it("has the documented defaults", () => {
    const { values, warnings } = loadConfig({ env: {} });
    expect(values).toEqual({
      databaseUrl: undefined,
      dsn: undefined,
      adminDatabaseUrl: undefined,
      databasePoolSize: 10,
      host: "0.0.0.0",
      port: 8082,
      logLevel: "info",
      dataDir: ".mds",
      spoolDir: undefined,
      spoolMaxBytes: 4_294_967_296,
      deadLetterDir: undefined,
      tenant: "default",
      migrateOnStart: true,
      jobsEnabled: true,
      shutdownTimeoutMs: 10_000,
      pulseEnabled: true,
      eventBusBackend: "inmem",
      redisUrl: "redis://localhost:6379/0",
      pulseNamespace: "mdp",
      schemaTrack: "v1",
      registryUrl: undefined,
      registryTrack: undefined,
      registryToken: undefined,
      driftIntervalMs: 900_000,
      coordinatorCapacity: undefined,
      coordinatorWorkers: 4,
      coordinatorBatchSize: undefined,
      coordinatorFlushIntervalSec: 0.25,
      retryMaxAttempts: 5,
      retryInitialBackoffMs: 50,
      retryMaxBackoffMs: 2_000,
      retryBackoffMultiplier: 2,
      retryJitter: true,
      breakerFailureThreshold: 5,
      breakerHalfOpenAfterSec: 60,
      metricsQueuePollSec: 0.25,
      feedbackEnabled: true,
      feedbackHttpEnabled: false,
      feedbackHttpEndpoint: undefined,
      feedbackHttpTimeoutSec: 2.5,
      feedbackHttpMaxRetries: 3,
      feedbackHttpBackoffSec: 0.5,
      backfillDirs: [],
      backfillHosts: [],
    });
    expect(warnings).toEqual([]);
    expect(Object.isFrozen(values)).toBe(true);
  });

  it.each([
    ["REDIS_URL", "http://h:6379"],
    ["EVENT_BUS_BACKEND", "kafka"],
    ["MD_NAMESPACE", "a b"],
    ["SCHEMA_TRACK", "1"],
    ["REGISTRY_URL", "http://login:password@h"],
    ["REGISTRY_TOKEN", "short"],
    ["MDS_DRIFT_INTERVAL_MS", "10"],
  ])("refuses %s=%s", (name, value) => {
    expect(() => loadConfig({ env: { [name]: value } })).toThrow(expect.objectContaining({ code: "config_invalid" }));
  });

  it.each(["INFO", "Info", "WARNING", "critical", "debug"])("reads LOG_LEVEL %s", (level) => {
    const expected = { warning: "warn", critical: "fatal" }[level.toLowerCase()] ?? level.toLowerCase();
    expect(loadConfig({ env: { LOG_LEVEL: level } }).values.logLevel).toBe(expected);
  });

  it.each([
    ["postgres://u:p@h:5432/d", "postgresql://u:p@h:5432/d"],
    ["postgresql://u:p@h/d?sslmode=require", "postgresql://u:p@h/d?sslmode=require"],
    ["postgresql+psycopg://u:p%40q@h/d", "postgresql://u:p%40q@h/d"],
    ["POSTGRES://h", "postgresql://h"],
    ["postgresql:///d?host=/var/run/postgresql", "postgresql:///d?host=/var/run/postgresql"],
    ["postgresql://u@[::1]:5432/d", "postgresql://u@[::1]:5432/d"],
  ])("accepts the URL %s", (given, normalised) => {
    expect(loadConfig({ env: { DATABASE_URL: given } }).values.databaseUrl).toBe(normalised);
  });

  it.each([
    "mysql://u:hunter2@h/d",
    "postgres:u:hunter2@h",
    "postgres://u:hunter2#x@h/d",
    "postgres://u:1/hunter2@h/d",
    "postgres://u:1?hunter2@h/d",
    "postgres://u:123#hunter2@h/d",
    "postgres://u:hunter2 x@h/d",
    "postgres://u:hunter2@h:99999/d",
    "postgres://u:hunter2%zz@h/d",
    "hunter2",
  ])("refuses the URL %s without showing its password", (given) => {
    const error = faultOf(() => loadConfig({ env: { DATABASE_URL: given } }));
    expect(error.code).toBe("config_invalid");
    expect(error.message).toMatch(/^DATABASE_URL is "\*\*\*" \(environment\)\. Allowed: postgresql:\/\//);
    expect(`${JSON.stringify(error.details)} ${String(error.stack)} ${String(error.cause)}`).not.toContain("hunter2");
  });

  it("reports all faults at once, each with name, value, source and what is allowed", () => {
    const env = { PORT: "80a82", LOG_LEVEL: "loud", MDS_MIGRATE_ON_START: "perhaps", MDS_DSN: "x://u:hunter2@h" };
    const error = faultOf(() =>
      loadConfig({ env, envFile: envFile("MDS_SHUTDOWN_TIMEOUT_MS=5s"), flags: { host: "" } }),
    );
    expect(error.message.split("\n")).toEqual([
      "6 settings are wrong:",
      expect.stringMatching(/^- MDS_DSN is "\*\*\*" \(environment\)\. Allowed: /),
      expect.stringMatching(/^- HOST is "" \(flag\)\. Allowed: /),
      '- PORT is "80a82" (environment). Allowed: a whole number from 0 to 65535 (0: any free port).',
      expect.stringMatching(/^- LOG_LEVEL is "loud" \(environment\)\. Allowed: one of trace, /),
      expect.stringMatching(/^- MDS_MIGRATE_ON_START is "perhaps" \(environment\)\. Allowed: true, /),
      expect.stringMatching(/^- MDS_SHUTDOWN_TIMEOUT_MS is "5s" \(\.env\)\. Allowed: a whole number from 100 /),
    ]);
    expect(error.details["faults"]).toHaveLength(6);
    expect(error.message).not.toContain("hunter2");
  });

  it.each(["65536", "-1", "1e3", "80.5", "", "0x50"])("refuses the port %j as a flag", (port) => {
    expect(faultOf(() => loadConfig({ env: {}, flags: { port } })).message).toContain("PORT is");
  });

  it.each(["verbose", "constructor", "10"])("refuses the log level %s", (level) => {
    expect(faultOf(() => loadConfig({ env: { LOG_LEVEL: level } })).message).toContain("LOG_LEVEL is");
  });

  it("warns about an unknown MDS_ name with the nearest known one", () => {
    const { warnings } = loadConfig({
      env: { MDS_DATADIR: "x", mds_tenant_id: "x" },
      envFile: envFile("MDS_TENAT_ID=x"),
    });
    expect(warnings).toEqual([
      "MDS_DATADIR is no setting of this version; the nearest is MDS_DATA_DIR.",
      "mds_tenant_id is no setting of this version; the nearest is MDS_TENANT_ID.",
      "MDS_TENAT_ID is no setting of this version; the nearest is MDS_TENANT_ID.",
    ]);
  });

  it("takes an empty value as not set, and says so", () => {
    const { values, warnings } = loadConfig({ env: { PORT: "" }, envFile: envFile("PORT=9000") });
    expect(values.port).toBe(9000);
    expect(warnings).toEqual(["PORT is set but empty, which counts as not set."]);
  });

  it("R34 accepts a .env with names that are not ours, a byte order mark, quotes and comments", () => {
    const text = '\uFEFF# of another program\nOTHER_NAME=1\nexport PORT="9000" # ours\n';
    const { values, warnings } = loadConfig({ env: {}, envFile: envFile(text) });
    expect(values.port).toBe(9000);
    expect(warnings).toEqual([]);
  });

  it.each([
    ["UTF-16 little-endian", Buffer.from("\uFEFFPORT=9000\n", "utf16le"), "it is UTF-16"],
    ["UTF-16 big-endian", Buffer.from("\uFEFFPORT=9000\n", "utf16le").swap16(), "it is UTF-16"],
    ["UTF-16 without a mark", Buffer.from("PORT=9000\n", "utf16le"), "it is UTF-16"],
    ["Latin-1", Buffer.from("NAME=Zürich\n", "latin1"), "bytes that are not UTF-8"],
  ])("R34 refuses a .env in %s with that reason", (_, content, reason) => {
    const error = faultOf(() => loadConfig({ env: {}, envFile: { path: "/app/.env", bytes: content } }));
    expect(error.code).toBe("config_invalid");
    expect(error.message).toContain("/app/.env cannot be read: ");
    expect(error.message).toContain(reason);
  });
});

describe("readConfig", () => {
  function folder(): string {
    const path = mkdtempSync(join(tmpdir(), "mds-config-"));
    onTestFinished(() => rmSync(path, { recursive: true }));
    return path;
  }

  it("reads .env in the folder", () => {
    const directory = folder();
    writeFileSync(join(directory, ".env"), "MDS_TENANT_ID=desk-1\n");
    expect(readConfig({ directory }).values.tenant).toBe("desk-1");
  });

  it("does without .env", () => {
    expect(readConfig({ directory: folder(), flags: { port: "1" } }).sources.port).toBe("flag");
  });

  it("refuses a .env that cannot be read", () => {
    const directory = folder();
    expect(faultOf(() => readConfig({ directory: join(directory, ".env\0") })).code).toBe("config_invalid");
  });
});

describe("chooseDatabaseUrl", () => {
  const env = {
    DATABASE_URL: "postgres://service",
    MDS_DSN: "postgres://client",
    ADMIN_DATABASE_URL: "postgres://admin",
  };

  it.each([
    [env, { as: "service" }, "postgresql://service"],
    [env, { as: "client" }, "postgresql://client"],
    [env, { as: "service", admin: true }, "postgresql://admin"],
    [{ MDS_DSN: env.MDS_DSN }, { as: "service", admin: true }, "postgresql://client"],
    [{ DATABASE_URL: env.DATABASE_URL }, { as: "client", admin: true }, "postgresql://service"],
    [{}, { as: "service" }, undefined],
  ] as const)("of %j for %j is %s", (given, use, expected) => {
    expect(chooseDatabaseUrl(loadConfig({ env: given }), use)).toBe(expected);
  });

  it("takes a flag before everything", () => {
    const config = loadConfig({ env, flags: { dsn: "postgres://flag" } });
    expect(chooseDatabaseUrl(config, { as: "client", admin: true })).toBe("postgresql://flag");
  });
});
