/**
 * Where the attacks take place: a database with two tenants, one that is being deleted and one without rows. Everything
 * that a tenant stores in any dataset carries its mark, in texts, numbers and times, so that a leak is seen wherever it
 * comes out. Logins of every kind stand ready to attack.
 */
import pg from "pg";
import { inject } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { Runs } from "../../src/client/runs.ts";
import type { UpsertResult } from "../../src/client/upsert.ts";
import { openPool } from "../../src/database/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";
import { compressAll } from "../support/timescale.ts";

export const TENANTS = ["a", "b", "gone", "empty"] as const;
export type TenantName = (typeof TENANTS)[number];

/** What gives a tenant's data away, lower case. Each number and each time holds the digits. */
export const MARKS: Readonly<Record<TenantName | "system", readonly string[]>> = {
  a: ["amber", "117111", "2111-01-11"],
  b: ["basalt", "227222", "2122-02-22"],
  gone: ["garnet", "337333", "2133-03-23"],
  empty: [],
  system: ["obsidian"],
};
/** Slugs that occur nowhere else. */
export const SLUGS: Readonly<Record<TenantName, string>> = {
  a: "alpha-ten",
  b: "bravo-ten",
  gone: "gamma-ten",
  empty: "empty-ten",
};

export const DATASETS = ["bars", "options", "fundamentals", "news", "signals"] as const;

/** Logins of the attackers; each one's password is its name. */
export const LOGINS = {
  boundA: "mds_attack_bound_a",
  boundEmpty: "mds_attack_bound_empty",
  boundGone: "mds_attack_bound_gone",
  /** Bound to a and, against all advice, made a member of mds_app afterwards. */
  boundApp: "mds_attack_bound_app",
  /** Has the name of a login that was bound to a and dropped. */
  recreated: "mds_attack_recreated",
  unbound: "mds_attack_unbound",
  stranger: "mds_attack_stranger",
  owner: "mds_attack_owner",
} as const;
const ROLES_OF_LOGINS: Partial<Record<keyof typeof LOGINS, readonly string[]>> = {
  boundA: ["mds_reader"],
  boundEmpty: ["mds_reader"],
  boundGone: ["mds_reader"],
  boundApp: ["mds_reader", "mds_app"],
  recreated: ["mds_reader", "mds_app"],
  unbound: ["mds_reader"],
  owner: ["mds_owner", "mds_app"],
};
const BINDINGS: Partial<Record<keyof typeof LOGINS, TenantName>> = {
  boundA: "a",
  boundEmpty: "empty",
  boundGone: "gone",
  boundApp: "a",
  recreated: "a",
};

/** Functions and operators named like those that ours use, for a search_path to find first. */
const EVIL_SCHEMA = `
  create schema attack_evil;
  create function attack_evil.yes(uuid, uuid) returns boolean language sql as 'select true';
  create operator attack_evil.= (leftarg = uuid, rightarg = uuid, function = attack_evil.yes);
  create function attack_evil.yes_names(name, name) returns boolean language sql as 'select true';
  create operator attack_evil.= (leftarg = name, rightarg = name, function = attack_evil.yes_names);
  create function attack_evil.current_setting(text, boolean) returns text language sql as 'select null::text';
  create function attack_evil.pg_has_role(name, text, text) returns boolean language sql as 'select true';
  create function attack_evil.quote_ident(text) returns text language sql as $$ select 'postgres'::text $$;
  create function attack_evil.starts_with(text, text) returns boolean language sql as 'select false';
  create function attack_evil.lower(text) returns text language sql as $$ select ''::text $$;
  create function attack_evil.unnest(int4[]) returns setof int4 language sql as 'select generate_series(1, 60)'`;

export interface Arena {
  readonly database: TestDatabase;
  readonly ids: Readonly<Record<TenantName, string>>;
  /** Of a and b. */
  readonly stores: Readonly<Record<"a" | "b", Store>>;
  /** Newest run of a and of b. */
  readonly runs: Readonly<Record<"a" | "b", string>>;
  /** One series of a and of b in each dataset. */
  readonly series: Readonly<Record<"a" | "b", Readonly<Record<string, number>>>>;
  close(): Promise<void>;
}

export async function openArena(): Promise<Arena> {
  const database = await createTestDatabase();
  const ids = {} as Record<TenantName, string>;
  for (const name of TENANTS) {
    const [row] = await database.sql<{ id: string }>("select mds.create_tenant($1, $2) as id", [
      SLUGS[name],
      `${SLUGS[name]} and company`,
    ]);
    ids[name] = row!.id;
  }
  const stores = {
    a: await openStore({ url: database.url, tenant: ids.a }),
    b: await openStore({ url: database.url, tenant: ids.b }),
  };
  const gone = await openStore({ url: database.url, tenant: ids.gone });
  // Three rounds, so that series ids and runs of the tenants alternate.
  const runs = { a: "", b: "" };
  for (let round = 0; round < 3; round++) {
    runs.a = await fill(stores.a, "a", round);
    runs.b = await fill(stores.b, "b", round);
    await fill(gone, "gone", round);
  }
  await gone.close();
  await database.sql("select mds.refresh_aggregates('bars', null, 1000000)");
  await startSystemRun(database);
  await makeLogins(database, ids);
  await database.sql("update store.tenants set state = 'deleting' where id = $1", [ids.gone]);
  await database.sql(EVIL_SCHEMA);
  for (const login of [LOGINS.boundA, LOGINS.stranger, "mds_app"]) {
    await database.sql(`grant usage, create on schema attack_evil to ${login}`);
  }
  if (inject("engine") === "timescale") await compressAll(database);
  await database.sql("analyze");
  const close = async (): Promise<void> => {
    await Promise.all([stores.a.close(), stores.b.close()]);
    await database.drop();
    await dropLogins();
  };
  const series = { a: await seriesOf(database, ids.a), b: await seriesOf(database, ids.b) };
  return { database, ids, stores, runs, series, close };
}

/** By dataset. */
async function seriesOf(database: TestDatabase, tenant: string): Promise<Record<string, number>> {
  const series: Record<string, number> = {};
  for (const dataset of DATASETS) {
    const [row] = await database.sql<{ id: number }>(
      `select max(series_id) as id from store.${dataset}_series where tenant_id = $1`,
      [tenant],
    );
    series[dataset] = row!.id;
  }
  return series;
}

/** They belong to the cluster, not to the database. */
async function dropLogins(): Promise<void> {
  const client = new pg.Client({ connectionString: inject("adminUrl") });
  await client.connect();
  for (const login of Object.values(LOGINS)) await client.query(`drop role if exists ${login}`);
  await client.end();
}

async function fill(store: Store, tenant: "a" | "b" | "gone", round: number): Promise<string> {
  const [word, digits, expiry] = MARKS[tenant] as [string, string, string];
  const number = Number(`${digits}.5`);
  const count = BigInt(digits);
  const vendor = `${word}-vendor`;
  const symbol = `${word}-${round}`;
  const at = (day: number): string => `2024-01-${String(day + round).padStart(2, "0")}T09:30:00.${digits}Z`;
  stored(
    await store.bars.upsert(
      [at(2), at(5), `2023-0${digits[0]}-15T00:00:00.${digits}Z`].map((ts) => ({
        vendor,
        symbol,
        timeframe: "1m",
        ts,
        open_price: number,
        high_price: number + 1,
        low_price: number,
        close_price: number,
        volume: number,
        trade_count: count,
        vwap: number,
      })),
    ),
  );
  const greeks = Object.fromEntries(
    ["bid", "ask", "last", "iv", "delta", "gamma", "theta", "vega", "rho", "spot"].map((name) => [name, number]),
  );
  stored(
    await store.options.upsert([
      {
        vendor,
        symbol,
        expiry,
        option_type: "C",
        strike: `${digits}.${round + 1}`,
        ts: at(3),
        ...greeks,
        oi: count,
        volume: count,
      },
    ]),
  );
  stored(
    await store.fundamentals.upsert([
      {
        vendor,
        symbol,
        asof: at(4),
        total_assets: number,
        total_liabilities: number,
        net_income: number,
        eps: number,
        metrics: { [`${word}_metric`]: number },
      },
    ]),
  );
  stored(
    await store.news.upsert(
      [1, 2, 3].map((item) => ({
        vendor: `${vendor}-${round}`,
        published_at: at(5),
        symbol,
        title: `${word} title ${item}`,
        url: `https://${word}.example/${item}`,
        sentiment_score: Number(`0.${digits}`),
        metadata: { [word]: digits },
      })),
    ),
  );
  stored(
    await store.signals.upsert([
      { vendor, symbol, name: `${word}-signal`, ts: at(6), value: number, score: number, metadata: { [word]: digits } },
    ]),
  );
  const run = await store.runs.start({
    job_name: `${word}-job`,
    mode: "backfill",
    provider: vendor,
    symbols: [symbol],
    metadata: { [word]: digits },
  });
  await store.runs.progress(run.run_id, { rows_written: Number(digits), min_ts: at(2), max_ts: at(3) });
  if (round === 0) await store.runs.fail(run.run_id, `${word} failure`);
  return run.run_id;
}

function stored({ rejections }: UpsertResult): void {
  if (rejections.length > 0) throw new Error(`The arena cannot be filled: ${rejections[0]!.message}`);
}

async function startSystemRun(database: TestDatabase): Promise<void> {
  const pool = openPool({ url: database.url, applicationName: "attack", maxConnections: 1, connectTimeoutMs: 5_000 });
  const ledger = new Runs({ pool, role: "mds_admin", timeoutMs: 10_000 });
  await ledger.start({ job_name: "obsidian-job", mode: "maintenance", provider: "obsidian" });
  await pool.end();
}

async function makeLogins(database: TestDatabase, ids: Readonly<Record<TenantName, string>>): Promise<void> {
  const make = async (login: string): Promise<void> => {
    await database.sql(`drop role if exists ${login}`);
    await database.sql(`create role ${login} login password '${login}'`);
  };
  for (const [key, login] of Object.entries(LOGINS) as [keyof typeof LOGINS, string][]) {
    await make(login);
    const tenant = BINDINGS[key];
    if (tenant !== undefined) await database.sql("select mds.bind_login($1, $2)", [login, ids[tenant]]);
    if (key === "recreated") await make(login);
    for (const role of ROLES_OF_LOGINS[key] ?? []) await database.sql(`grant ${role} to ${login}`);
  }
}
