/**
 * The demo (`npm run demo`): loads the S&P 500 since 2000, which is real data, and a made-up intraday market into the
 * tenant `demo`, and prints latest prices. A second run changes nothing. It works on the database of MDS_DSN or
 * DATABASE_URL, else on the embedded one: that of a running `npm start`, or one that it starts and stops itself.
 */
import { fileURLToPath } from "node:url";
import { generateMarket } from "../src/bench/generate-market.ts";
import { type UsedDatabase, withDatabase } from "../src/cli/connect.ts";
import { Output } from "../src/cli/output.ts";
import { EXIT, type Shell } from "../src/cli/shell.ts";
import { readConfig } from "../src/config/load.ts";
import { migrateUp } from "../src/database/migrator.ts";
import { openPool } from "../src/database/pool.ts";
import { createTenant, listTenants } from "../src/database/tenants.ts";
import { messageOf } from "../src/errors/store-error.ts";
import { ingestFile } from "../src/files/ingest-file.ts";
import { formatTime, openStore, type Store, timeZone } from "../src/index.ts";

const TENANT = "demo";

async function demo(database: UsedDatabase, signal: AbortSignal): Promise<void> {
  await migrateUp({ adminUrl: database.adminUrl, serviceUrl: database.url });
  await makeTenant(database.url, signal);
  const store = await openStore({ url: database.url, tenant: TENANT, applicationName: "mds demo", signal });
  try {
    await told("S&P 500, daily since 2000", () => loadIndex(store, signal));
    await told("A made-up market, 50 symbols by the minute", () => loadMarket(store, signal));
    await printLatest(store, signal);
  } finally {
    await store.close();
  }
  console.log(`
Go on with:
  npx mds query bars --tenant ${TENANT} --symbol SPX --start 2020-03-09T00:00:00Z --limit 5
  npx mds latest --tenant ${TENANT} --vendor generated SIM001 SIM002
  npm start`);
}

/** A file: its columns are named, its dates are in UTC, and its adjusted close is left out. */
function loadIndex(store: Store, signal: AbortSignal): Promise<Counts> {
  const file = fileURLToPath(new URL("../node_modules/vega-datasets/data/sp500-2000.csv", import.meta.url));
  return ingestFile(store.bars, file, {
    columnMap: { ts: "date" },
    constants: { vendor: "vega-datasets", symbol: "SPX", timeframe: "1d" },
    ignoreColumns: ["adjclose"],
    timeZone: timeZone("UTC"),
    signal,
  });
}

/** Rows of one's own: any iterable of them will do. Five sessions from 5 January 2026, the same at every run. */
function loadMarket(store: Store, signal: AbortSignal): Promise<Counts> {
  return store.bars.upsert(generateMarket({ symbols: 50, minutes: 5 * 390, seed: 2026 }), { signal });
}

type Counts = Readonly<Record<"inserted" | "updated" | "unchanged" | "superseded" | "rejected", number>>;

/** Says what became of the rows: the counts add up to what was given. */
async function told(what: string, load: () => Promise<Counts>): Promise<void> {
  const startedAt = performance.now();
  const { inserted, updated, unchanged, superseded, rejected } = await load();
  const seconds = (performance.now() - startedAt) / 1_000;
  const rows = inserted + updated + unchanged + superseded + rejected;
  const counts = { inserted, updated, unchanged, superseded, rejected };
  const outcome = Object.entries(counts).flatMap(([name, count]) => (count > 0 ? `${count} ${name}` : []));
  console.log(`${what}: ${rows} rows in ${seconds.toFixed(2)} s (${Math.round(rows / seconds)} a second)`);
  console.log(`  ${outcome.join(", ")}`);
}

async function printLatest(store: Store, signal: AbortSignal): Promise<void> {
  const symbols = ["SPX", "SIM001", "SIM002", "SIM003"];
  console.log("\nLatest prices:");
  for (const { vendor, symbol, price, price_timestamp } of await store.bars.latest({ symbols }, { signal })) {
    const cells = [vendor.padEnd(13), symbol.padEnd(6), price.toFixed(2).padStart(8), formatTime(price_timestamp)];
    console.log(`  ${cells.join("  ")}`);
  }
}

async function makeTenant(url: string, signal: AbortSignal): Promise<void> {
  const pool = openPool({ url, applicationName: "mds demo", maxConnections: 1, connectTimeoutMs: 5_000 });
  try {
    const scope = { pool, timeoutMs: 5_000 };
    const tenants = await listTenants(scope, signal);
    if (!tenants.some(({ slug }) => slug === TENANT)) await createTenant(scope, { slug: TENANT, name: "Demo" }, signal);
  } finally {
    await pool.end();
  }
}

const shell: Shell = { output: new Output(), exitCode: EXIT.done, configure: (flags) => readConfig({ flags }) };
try {
  await withDatabase(shell, shell.configure({}), demo);
} catch (error) {
  shell.output.note(`demo: ${messageOf(error)}`);
  shell.exitCode = EXIT.failed;
}
process.exitCode = shell.exitCode;
