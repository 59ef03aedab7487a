/**
 * Every setting of the store, once: its name, how its text is read, its default, what is allowed and what it means.
 * The configuration, its checks, `mds config`, docs/configuration.md and .env.example are functions of this table.
 * A setting is listed only when something reads it. Plain functions read the texts: a schema library would add 60 ms and
 * 8 MB to every start of the command and of the service.
 */
import { delimiter, isAbsolute } from "node:path";
import { readDatabaseUrl } from "./database-url.ts";
import { INGEST_SETTINGS } from "./ingest-settings.ts";
import { PLATFORM_SETTINGS } from "./platform-settings.ts";
import { BOOLEAN_ALLOWED, readBoolean, type Setting, setting, textLike, wholeNumber } from "./setting.ts";

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
type LogLevel = (typeof LOG_LEVELS)[number];
/** Names that other log libraries use. */
const LOG_LEVEL_ALIASES: ReadonlyMap<string, LogLevel> = new Map([
  ["warning", "warn"],
  ["critical", "fatal"],
]);

function readLogLevel(text: string): LogLevel | undefined {
  const word = text.toLowerCase();
  return LOG_LEVEL_ALIASES.get(word) ?? LOG_LEVELS.find((level) => level === word);
}

const ENGINES = ["plain", "timescale"] as const;
type Engine = (typeof ENGINES)[number];

function readEngine(text: string): Engine | undefined {
  return ENGINES.find((engine) => engine === text);
}

function readFolders(text: string): readonly string[] | undefined {
  const folders = text
    .split(delimiter)
    .map((folder) => folder.trim())
    .filter((folder) => folder !== "");
  return folders.every((folder) => isAbsolute(folder) && !folder.includes("\0")) ? folders : undefined;
}

/** A name or an IPv4 address, or an IPv6 address in brackets, and perhaps a port. */
const HOST = /^([a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/;

function readHosts(text: string): readonly string[] | undefined {
  const hosts = text
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((host) => host !== "");
  return hosts.every((host) => HOST.test(host) && Number(HOST.exec(host)![2] ?? 1) <= 65_535) ? hosts : undefined;
}

const DATABASE_URL_ALLOWED =
  "postgresql://user:password@host:5432/database (or postgres://, postgresql+psycopg://), special characters percent-encoded";

/** Begins the names of the settings that hold bearer tokens for backfills. */
export const BACKFILL_CREDENTIAL_PREFIX = "MDS_BACKFILL_CREDENTIAL_";

/** All settings, by the key under which the program reads them. */
const SETTINGS = {
  databaseUrl: setting({
    name: "DATABASE_URL",
    read: readDatabaseUrl,
    default: undefined as string | undefined,
    defaultText: "an embedded database in MDS_DATA_DIR",
    secret: true,
    allowed: DATABASE_URL_ALLOWED,
    meaning: "The database, with the service's login.",
  }),
  dsn: setting({
    name: "MDS_DSN",
    read: readDatabaseUrl,
    default: undefined as string | undefined,
    defaultText: "DATABASE_URL",
    secret: true,
    allowed: DATABASE_URL_ALLOWED,
    meaning: "The database for the command and the library; there it wins over DATABASE_URL.",
  }),
  adminDatabaseUrl: setting({
    name: "ADMIN_DATABASE_URL",
    read: readDatabaseUrl,
    default: undefined as string | undefined,
    defaultText: "DATABASE_URL",
    secret: true,
    allowed: DATABASE_URL_ALLOWED,
    meaning:
      "The login for migrations and jobs, a member of mds_owner. A direct connection, not one through a transaction pooler.",
  }),
  databasePoolSize: setting({
    name: "MDS_DATABASE_POOL_SIZE",
    read: wholeNumber(1, 1_000),
    default: 10,
    allowed: "a whole number from 1 to 1000",
    meaning: "Connections to the database that one process keeps at most.",
  }),
  host: setting({
    name: "HOST",
    read: textLike(/^[^\s/]+$/),
    default: "0.0.0.0",
    allowed: "an address or a host name of this machine",
    meaning: "The address on which the service listens.",
  }),
  port: setting({
    name: "PORT",
    read: wholeNumber(0, 65_535),
    default: 8_082,
    allowed: "a whole number from 0 to 65535 (0: any free port)",
    meaning: "The port on which the service listens.",
  }),
  adminToken: setting({
    name: "ADMIN_TOKEN",
    read: textLike(/^[!-~]{16,512}$/),
    default: undefined as string | undefined,
    defaultText: "none, and the admin routes are off; on an embedded database one is made and kept in MDS_DATA_DIR",
    secret: true,
    allowed: "16 to 512 visible ASCII characters, best random ones",
    meaning: "The bearer token of the service's admin routes.",
  }),
  logLevel: setting({
    name: "LOG_LEVEL",
    read: readLogLevel,
    default: "info" as LogLevel,
    allowed: `one of ${LOG_LEVELS.join(", ")}, in any case`,
    meaning: "The least level that is logged. At debug, every request is.",
  }),
  dataDir: setting({
    name: "MDS_DATA_DIR",
    read: textLike(/^[^\0]+$/),
    default: ".mds",
    allowed: "a folder, absolute or relative to the working directory",
    meaning: "Where the embedded database and other data of this machine are kept.",
  }),
  spoolDir: setting({
    name: "MDS_SPOOL_DIR",
    read: textLike(/^[^\0]+$/),
    default: undefined as string | undefined,
    defaultText: "spool in MDS_DATA_DIR",
    allowed: "a folder, absolute or relative to the working directory",
    meaning: "Where accepted rows wait for the database. One process at a time; a disk of its own is best.",
  }),
  spoolMaxBytes: setting({
    name: "MDS_SPOOL_MAX_BYTES",
    read: wholeNumber(1_048_576, 1_125_899_906_842_624),
    // An hour of 4,000 rows a second, at 270 bytes a row.
    default: 4_294_967_296,
    allowed: "a whole number from 1048576 to 1125899906842624 (bytes)",
    meaning: "How much of the disk accepted rows may take while they wait. When it is full, producers wait.",
  }),
  deadLetterDir: setting({
    name: "MDS_DLQ_DIR",
    read: textLike(/^[^\0]+$/),
    default: undefined as string | undefined,
    defaultText: "dead-letters in MDS_DATA_DIR",
    allowed: "a folder, absolute or relative to the working directory",
    meaning: "Where rows are kept that cannot be stored.",
  }),
  tenant: setting({
    name: "MDS_TENANT_ID",
    read: textLike(/^\S+$/),
    default: "default",
    allowed: "a tenant's slug or UUID",
    meaning: "The tenant of the command and the library. A login that is bound to a tenant needs none.",
  }),
  engine: setting({
    name: "MDS_ENGINE",
    read: readEngine,
    default: undefined as Engine | undefined,
    defaultText: "what the database has; recorded when it is first migrated",
    allowed: `one of ${ENGINES.join(", ")}`,
    meaning: "The engine that the database must have. Another than the recorded one is refused.",
  }),
  migrateOnStart: setting({
    name: "MDS_MIGRATE_ON_START",
    read: readBoolean,
    default: true,
    allowed: BOOLEAN_ALLOWED,
    meaning: "Whether the service migrates the database when it starts.",
  }),
  jobsEnabled: setting({
    name: "MDS_JOBS_ENABLED",
    read: readBoolean,
    default: true,
    allowed: BOOLEAN_ALLOWED,
    meaning: "Whether the service runs jobs. With false it only accepts them, for others that do.",
  }),
  shutdownTimeoutMs: setting({
    name: "MDS_SHUTDOWN_TIMEOUT_MS",
    read: wholeNumber(100, 600_000),
    default: 10_000,
    allowed: "a whole number from 100 to 600000 (milliseconds)",
    meaning: "How long the service may take to stop.",
  }),
  backfillDirs: setting({
    name: "MDS_BACKFILL_DIRS",
    read: readFolders,
    default: [] as readonly string[],
    defaultText: "none",
    allowed: "absolute folders, with a colon between them (on Windows a semicolon)",
    meaning: "The folders below which backfill jobs may read files.",
  }),
  backfillHosts: setting({
    name: "MDS_BACKFILL_HOSTS",
    read: readHosts,
    default: [] as readonly string[],
    defaultText: "none",
    allowed: "hosts, as host or host:port, with commas between them; without a port it is the usual one",
    meaning: `The hosts from which backfill jobs may fetch files. Bearer tokens are settings ${BACKFILL_CREDENTIAL_PREFIX}NAME, which jobs name.`,
  }),
  ...INGEST_SETTINGS,
  ...PLATFORM_SETTINGS,
} as const satisfies Record<string, Setting<never> | Setting>;

/** Key under which the program reads a setting. */
export type ConfigKey = keyof typeof SETTINGS;
/** The typed values of all settings. */
export type Config = {
  readonly [K in ConfigKey]: (typeof SETTINGS)[K] extends Setting<infer Value> ? Value : never;
};

/** All settings as one list, in the order of the documentation. */
export function settingList(): readonly (readonly [ConfigKey, Setting])[] {
  return Object.entries(SETTINGS) as unknown as readonly (readonly [ConfigKey, Setting])[];
}
