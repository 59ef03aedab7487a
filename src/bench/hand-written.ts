/**
 * The two ways in which people put bars into PostgreSQL by hand: `insert … values … on conflict do update` through `pg`, and
 * the insert helper of `postgres`; into the table they would make, with text keys and one primary key. Neither checks a row
 * nor keeps tenants apart. Both are given the number of rows a statement that suits them best, and one connection.
 */
import pg from "pg";
import type { Connection } from "../database/pool.ts";
import type { BarInput } from "../datasets/bars.ts";
import { CLIENT_APPLICATION } from "./bench-database.ts";
import type { BenchContext } from "./scenario.ts";

/** A parameter of a statement. */
export type HandValue = string | Date | readonly string[];

/** One way of doing it by hand. */
export interface HandWritten {
  readonly name: string;
  readonly upsert: (bars: Iterable<BarInput>) => Promise<void>;
  /** Reads rows as objects; how many there were. */
  readonly select: (statement: string, values: readonly HandValue[]) => Promise<number>;
  readonly close: () => Promise<void>;
}

/** What there is of them here. */
export interface HandWrittenWays {
  readonly ways: readonly HandWritten[];
  readonly notes: readonly string[];
}

type Postgres = typeof import("postgres");

/** As many rows are written by hand at most: they take their time, and the more there are the slower it gets. */
export const HAND_ROWS = 200_000;
/** The table of bars written by hand. */
export const HAND_BARS = "by_hand.bars";
const KEY = ["tenant", "vendor", "symbol", "timeframe", "ts"] as const;
const VALUES = ["open_price", "high_price", "low_price", "close_price", "volume", "trade_count", "vwap"] as const;
const COLUMNS = [...KEY, ...VALUES];
const TENANT = "default";
const ON_CONFLICT = `on conflict (${KEY.join(", ")}) do update set ${VALUES.map((name) => `${name} = excluded.${name}`).join(", ")}`;
/** The fastest for both; 5,461 is the most that the protocol's 65,535 parameters allow. */
const ROWS_PER_STATEMENT = 5_000;

/** Work with both ways, whose table is empty before and gone afterwards. */
export async function withHandWritten<T>(
  { database: { owner, adminUrl } }: BenchContext,
  work: (hand: HandWrittenWays) => Promise<T>,
): Promise<T> {
  await owner.query(`
    create schema by_hand;
    create table ${HAND_BARS} (
      tenant text not null, vendor text not null, symbol text not null, timeframe text not null, ts timestamptz not null,
      open_price float8 not null, high_price float8 not null, low_price float8 not null, close_price float8 not null,
      volume float8 not null, trade_count int8, vwap float8,
      primary key (${KEY.join(", ")})
    )`);
  const postgres = await loadPostgres();
  const ways = [await openPg(adminUrl), ...(postgres === undefined ? [] : [openPostgres(postgres, adminUrl)])];
  const missing =
    "Not measured: the insert helper of `postgres`; this development dependency is not installed here. `npm install postgres` brings it.";
  try {
    return await work({ ways, notes: postgres === undefined ? [missing] : [] });
  } finally {
    for (const way of ways) await way.close();
    await owner.query("drop schema by_hand cascade");
  }
}

/** Makes the table hold the same bars as the store. */
export async function fillByHand(owner: Connection): Promise<void> {
  await owner.query(`truncate ${HAND_BARS}`);
  await owner.query(`
    insert into ${HAND_BARS} (${COLUMNS.join(", ")})
    select '${TENANT}', s.vendor, s.symbol, s.timeframe, b.ts, ${VALUES.map((name) => `b.${name}`).join(", ")}
    from store.bars_data b join store.bars_series s using (series_id)`);
  await owner.query(`vacuum analyze ${HAND_BARS}`);
}

/** Takes all bars away. */
export async function emptyByHand(owner: Connection): Promise<void> {
  await owner.query(`truncate ${HAND_BARS}`);
  await owner.query(`vacuum analyze ${HAND_BARS}`);
}

async function loadPostgres(): Promise<Postgres | undefined> {
  try {
    return (await import("postgres")).default;
  } catch {
    return undefined;
  }
}

async function openPg(url: string): Promise<HandWritten> {
  const client = new pg.Client({ connectionString: url, application_name: CLIENT_APPLICATION });
  client.on("error", () => {}); // A loss is reported by the query that meets it.
  await client.connect();
  const full = insertText(ROWS_PER_STATEMENT);
  return {
    name: "by hand, pg",
    upsert: async (bars) => {
      for (const rows of statementsOf(bars)) {
        const values = rows.flatMap((row) => COLUMNS.map((name) => row[name]));
        await client.query(rows.length === ROWS_PER_STATEMENT ? full : insertText(rows.length), values);
      }
    },
    select: async (statement, values) => (await client.query(statement, [...values])).rows.length,
    close: () => client.end(),
  };
}

/** With as many rows of parameters. */
function insertText(rows: number): string {
  const tuple = (row: number): string => `(${COLUMNS.map((_, at) => `$${row * COLUMNS.length + at + 1}`).join(", ")})`;
  const tuples = Array.from({ length: rows }, (_, row) => tuple(row));
  return `insert into ${HAND_BARS} (${COLUMNS.join(", ")}) values ${tuples.join(", ")} ${ON_CONFLICT}`;
}

function openPostgres(postgres: Postgres, url: string): HandWritten {
  // It does not understand a socket's folder within the URL.
  const { host, port, user, password, database } = new pg.Client({ connectionString: url });
  const sql = postgres({
    ...{ host, port, username: user!, password: password!, database: database! },
    max: 1,
    connection: { application_name: CLIENT_APPLICATION },
  });
  return {
    name: "by hand, postgres",
    upsert: async (bars) => {
      for (const rows of statementsOf(bars)) {
        await sql`insert into ${sql(HAND_BARS)} ${sql(rows as never, ...(COLUMNS as never[]))} ${sql.unsafe(ON_CONFLICT)}`;
      }
    },
    select: async (statement, values) => (await sql.unsafe(statement, [...values] as never[])).length,
    close: () => sql.end(),
  };
}

type HandRow = Readonly<Partial<Record<(typeof COLUMNS)[number], unknown>>>;

function* statementsOf(bars: Iterable<BarInput>): Generator<HandRow[]> {
  let rows: HandRow[] = [];
  for (const bar of bars) {
    rows.push({ tenant: TENANT, trade_count: null, vwap: null, ...bar });
    if (rows.length < ROWS_PER_STATEMENT) continue;
    yield rows;
    rows = [];
  }
  if (rows.length > 0) yield rows;
}
