/** The server: its version and extensions, settings that lose data or connections, its clock, and what is in between. */
import { OLDEST_TIMESCALE } from "../engine/detect-engine.ts";
import type { Connection } from "../pool.ts";
import { type Check, type Examination, type Finding, named } from "./finding.ts";

const OLDEST_MAJOR = 15;
const NEWEST_MAJOR = 18;
/** Beyond it, "older than" and "the last hour" mean other rows to us than to the server. */
const MAX_SKEW_MS = 1_000;
/** Of several measurements the one with the shortest way is the most exact. */
const CLOCK_SAMPLES = 3;
/** What jobs, health checks and a person with psql need besides the pool of the service. */
const OTHER_CONNECTIONS = 16;

export const checkServer: Check = async (examination) => {
  const facts = await serverFacts(examination);
  return [
    ...poolerFinding(facts.pid, examination.admin),
    ...versionFindings(facts.version),
    ...extensionFindings(facts.timescale),
    ...(await settingFindings(examination)),
    ...(await clockFindings(examination)),
  ];
};

interface ServerFacts {
  readonly pid: number;
  readonly version: number;
  readonly timescale: string | null;
}

async function serverFacts({ ask }: Examination): Promise<ServerFacts> {
  const [row] = await ask<ServerFacts>(
    `select pg_backend_pid() as pid, current_setting('server_version_num')::int4 as version,
       (select e.extversion from pg_extension e where e.extname = 'timescaledb') as timescale`,
  );
  return row!;
}

/** A pooler tells a process id of its own. */
function poolerFinding(pid: number, admin: Connection): Finding[] {
  if (pid === (admin as Connection & { processID: number }).processID) return [];
  return [
    {
      code: "pooler_in_between",
      severity: "error",
      message:
        "The administrator's connection goes through a pooler; migrations and jobs hold locks that it would mix up.",
      remedy: "Set ADMIN_DATABASE_URL to the server itself.",
    },
  ];
}

/** @param version - As in `server_version_num`. */
export function versionFindings(version: number): Finding[] {
  const major = Math.floor(version / 10_000);
  if (major >= OLDEST_MAJOR && major <= NEWEST_MAJOR) return [];
  const isOld = major < OLDEST_MAJOR;
  return [
    {
      code: "postgresql_version",
      severity: isOld ? "error" : "warning",
      message: `The server is PostgreSQL ${major}; this version of the store is made for ${OLDEST_MAJOR} to ${NEWEST_MAJOR}.`,
      remedy: isOld ? "Upgrade the server." : "Look for a newer version of the store, or test this one well.",
    },
  ];
}

function extensionFindings(timescale: string | null): Finding[] {
  if (timescale === null) return [];
  const [major = 0, minor = 0] = timescale.split(".").map(Number);
  if (major > OLDEST_TIMESCALE[0] || (major === OLDEST_TIMESCALE[0] && minor >= OLDEST_TIMESCALE[1])) return [];
  return [
    {
      code: "extension_too_old",
      severity: "error",
      message: `TimescaleDB is ${timescale}; at least ${OLDEST_TIMESCALE.join(".")} is needed.`,
      remedy: "Install a newer package and run `alter extension timescaledb update`.",
    },
  ];
}

/** Settings that are switched off, as the service's login has them. */
const SWITCHES: readonly { name: string; severity: Finding["severity"]; cost: string }[] = [
  { name: "fsync", severity: "error", cost: "a crash of the machine can destroy the whole database" },
  { name: "full_page_writes", severity: "error", cost: "a crash of the machine can leave torn pages" },
  { name: "synchronous_commit", severity: "warning", cost: "a crash can lose rows whose writing was confirmed" },
];

async function settingFindings({ service, poolSize }: Examination): Promise<Finding[]> {
  const { rows } = await service.query<{ name: string; setting: string }>(
    `select name, setting from pg_settings where name = any ($1)`,
    [
      [
        ...SWITCHES.map(({ name }) => name),
        "max_connections",
        "superuser_reserved_connections",
        "reserved_connections",
      ],
    ],
  );
  const settings = new Map(rows.map(({ name, setting }) => [name, setting]));
  const findings = SWITCHES.filter(({ name }) => settings.get(name) === "off").map(
    ({ name, severity, cost }): Finding => ({
      code: `${name}_off`,
      severity,
      message: `${name} is off: ${cost}.`,
      remedy: `Switch ${name} on, unless this database may be lost.`,
    }),
  );
  const count = (name: string): number => Number(settings.get(name) ?? 0);
  const free = count("max_connections") - count("superuser_reserved_connections") - count("reserved_connections");
  const needed = poolSize + OTHER_CONNECTIONS;
  if (free >= needed) return findings;
  findings.push({
    code: "connections_too_few",
    severity: "warning",
    message: `The server has ${free} connections for ordinary logins; one service with its jobs may need ${needed}.`,
    remedy: "Raise max_connections, or lower MDS_DATABASE_POOL_SIZE.",
  });
  return findings;
}

async function clockFindings({ admin, now = Date.now }: Examination): Promise<Finding[]> {
  let best = { skewMs: 0, wayMs: Number.POSITIVE_INFINITY };
  for (let sample = 0; sample < CLOCK_SAMPLES; sample++) {
    const startedAt = performance.now();
    const ourMs = now();
    const { rows } = await admin.query<{ ms: number }>(
      "select extract(epoch from clock_timestamp())::float8 * 1000 as ms",
    );
    const wayMs = performance.now() - startedAt;
    if (wayMs < best.wayMs) best = { skewMs: rows[0]!.ms - (ourMs + wayMs / 2), wayMs };
  }
  // What the way took may all have been in one direction.
  if (Math.abs(best.skewMs) - best.wayMs / 2 <= MAX_SKEW_MS) return [];
  const seconds = (Math.abs(best.skewMs) / 1_000).toFixed(1);
  return [
    {
      code: "clock_skew",
      severity: "warning",
      message: `The server's clock is ${seconds} s ${best.skewMs > 0 ? "ahead of" : "behind"} this machine's.`,
      remedy: "Let both machines follow a time server (NTP).",
    },
  ];
}

/** The engine that the database was made for, and the one that is asked for. */
export const checkEngine: Check = async ({ ask, engine }) => {
  const [row] = await ask<{ value: string }>("select value from store.settings where name = 'engine'", [], {
    asOwner: true,
  });
  if (row === undefined || engine === undefined || row.value === engine) return [];
  return [
    {
      code: "engine_mismatch",
      severity: "error",
      message: `MDS_ENGINE is "${engine}", but this database was made for the engine "${row.value}".`,
      remedy: "Leave MDS_ENGINE out, or use another database.",
    },
  ];
};

/** The queue's schedules: a job that is not scheduled never runs by itself. */
export const checkJobs: Check = async ({ ask, scheduledJobs }) => {
  const [queue] = await ask<{ there: boolean }>("select to_regclass('pgboss.schedule') is not null as there");
  if (!queue!.there) {
    return [
      {
        code: "jobs_never_ran",
        severity: "warning",
        message: "The job queue is not there yet: no job has ever run on this database.",
        remedy: "Start the service (`mds serve`), which makes the queue and schedules the jobs.",
      },
    ];
  }
  const rows = await ask<{ name: string }>("select name from pgboss.schedule", [], { asOwner: true });
  const missing = scheduledJobs.filter((job) => !rows.some(({ name }) => name === job));
  if (missing.length === 0) return [];
  return [
    {
      code: "job_not_scheduled",
      severity: "error",
      message: `These jobs are not scheduled, so they never run by themselves: ${named(missing)}.`,
      remedy: "Start the service again; it schedules them.",
    },
  ];
};
