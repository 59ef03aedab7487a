/**
 * Questions whose answer must not depend on what others have stored: each is asked twice, once with a value that another
 * tenant has and once with one that nobody has, and everything that comes back must be the same, plans and estimates too.
 */
import { type Arena, SLUGS } from "./arena.ts";
import { GUESSED_IDS } from "./arguments.ts";
import type { AttackedColumn, AttackedFunction, Catalog } from "./catalog.ts";
import type { AttackCase } from "./matrix.ts";
import { expectNoLeak, report, type Transcript, textOf, type Visits } from "./transcript.ts";
import type { Visitor } from "./visitors.ts";

/** SQL of a value that tenant b has, and of one like it that nobody has. */
interface Pair {
  readonly foreign: string;
  readonly unknown: string;
}

const UNKNOWN_UUID = "'12345678-1234-4234-8234-123456789abc'";
const OTHER_PLANS =
  "set local enable_nestloop = off; set local enable_indexscan = off; set local enable_bitmapscan = off; set local enable_memoize = off";
/** How many rows of which table the session has read is there for anybody to ask. */
const BEFORE = "create temp table before as select relid, seq_tup_read, idx_tup_fetch from pg_stat_xact_user_tables";
const ROWS_TOUCHED = `select relname, a.seq_tup_read - b.seq_tup_read as scanned, a.idx_tup_fetch - b.idx_tup_fetch as fetched
  from pg_stat_xact_user_tables a join before b using (relid) where a.schemaname = 'store' order by 1`;
const EXPLAIN = "explain (analyze, costs, timing off, summary off, buffers off)";

/** What nobody has, beside a value of this type. */
const NEXT: Readonly<Record<string, (value: string) => string>> = {
  text: (value) => `${value} || '-unknown'`,
  "double precision": (value) => `${value} + 0.25`,
  bigint: (value) => `${value} + 1`,
  numeric: (value) => `${value} + 0.01`,
  date: (value) => `${value} + 1`,
  jsonb: () => `'{"zz": "unknown"}'`,
  "timestamp with time zone": (value) => `${value} + interval '1 microsecond'`,
};
/** Views for administrators alone, who see all tenants; that nobody else does is tried in the matrix. */
const ADMIN_VIEWS: ReadonlySet<string> = new Set(["job_queue_health", "job_runs_summary"]);
/** Columns whose values are the same for all tenants. */
const COMMON = new Set(["timeframe", "interval", "option_type", "dataset"]);

/** Each column of each view, by equality and by order. */
export async function viewProbes(arena: Arena, visitors: readonly Visitor[], catalog: Catalog): Promise<AttackCase[]> {
  const cases: AttackCase[] = [];
  for (const [view, columns] of Object.entries(catalog.views)) {
    if (ADMIN_VIEWS.has(view)) continue;
    for (const column of columns.filter(({ name }) => !COMMON.has(name))) {
      const pair = await foreignValue(arena, view, column);
      for (const visitor of visitors) {
        for (const operator of ["=", "<", ">"]) cases.push(viewProbe(visitor, view, column, operator, pair));
      }
    }
  }
  return cases;
}

async function foreignValue({ database, ids }: Arena, view: string, { name, type }: AttackedColumn): Promise<Pair> {
  const kind = type.replace(/\(.*/, "");
  const next = NEXT[kind];
  if (next === undefined) throw new Error(`No probe knows a column of type ${type}: ${view}.${name}; add it to NEXT.`);
  await database.sql("select set_config('app.tenant_id', $1, false)", [ids.b]);
  const rows = await database.sql<Pair>(
    `select quote_literal(${name}::text) || '::${kind}' as foreign,
       quote_literal((${next(name)})::text) || '::${kind}' as unknown
     from mds.${view} where ${name} is not null order by 1 limit 1`,
  );
  await database.sql("reset app.tenant_id");
  if (rows.length === 0) throw new Error(`Tenant b has no ${name} in ${view}; fill it in the arena.`);
  return rows[0]!;
}

function viewProbe(visitor: Visitor, view: string, column: AttackedColumn, operator: string, pair: Pair): AttackCase {
  const condition = (value: string): string =>
    `select count(*) from mds.${view} where ${column.name} ${operator} ${value}`;
  const questions = (value: string): string[] => [
    BEFORE,
    condition(value),
    `${EXPLAIN} ${condition(value)}`,
    OTHER_PLANS,
    `${EXPLAIN} ${condition(value)}`,
    ROWS_TOUCHED,
  ];
  return probe(visitor, `mds.${view}.${column.name} ${operator}`, questions, pair);
}

/** Each parameter of each function that may name something: a series, a run, a dimension, a tenant. */
export async function functionProbes(
  arena: Arena,
  visitors: readonly Visitor[],
  { functions }: Catalog,
): Promise<AttackCase[]> {
  const cases: AttackCase[] = [];
  for (const called of functions.filter(({ schema, name }) => schema === "mds" && !ADMIN_FUNCTIONS.has(name))) {
    for (const [at, type] of called.argTypes.entries()) {
      const pair = await foreignArgument(arena, called, called.argNames[at]!, type);
      if (pair === undefined) continue;
      for (const visitor of visitors) {
        if (called.name === "session_tenant" && visitor.rights[0] !== "mds_reader") continue; // the application may ask
        cases.push(functionProbe(visitor, called, at, pair, arena));
      }
    }
  }
  return cases;
}

function functionProbe(visitor: Visitor, called: AttackedFunction, at: number, pair: Pair, arena: Arena): AttackCase {
  const calls = (value: string): string[] =>
    // Which flag it is may decide what is looked at first.
    (called.argTypes.includes("boolean") ? ["true", "false"] : [""]).map(
      (flag) => `select f from mds.${called.name}(${others(called, at, value, flag, arena)}) f`,
    );
  const questions = (value: string): string[] => [
    BEFORE,
    "set local plan_cache_mode = force_custom_plan; set local client_min_messages = log; set local debug_print_plan = on",
    ...calls(value),
    "set local debug_print_plan = off",
    ...calls(value).map((call) => `${EXPLAIN} ${call}`),
    // The row that a series' id leads to is looked up before its tenant is known; see docs/threat-model.md.
    ...(called.argTypes[at] === "integer[]" ? [] : [ROWS_TOUCHED]),
  ];
  return probe(visitor, `mds.${called.name}: ${called.argNames[at]}`, questions, pair);
}

const ADMIN_FUNCTIONS = new Set([
  "create_tenant",
  "rename_tenant",
  "list_tenants",
  "bind_login",
  "unbind_login",
  "list_bound_logins",
  "seed",
]);

/** What the runs of b can be asked for by. */
const FOREIGN_RUNS: Readonly<Record<string, string>> = { only_job: "'basalt-job'", only_provider: "'basalt-vendor'" };

async function foreignArgument(
  { database, ids, runs, series }: Arena,
  called: AttackedFunction,
  name: string,
  type: string,
): Promise<Pair | undefined> {
  const dataset = datasetOf(called);
  if (name === "run_id") return { foreign: `'${runs.b}'`, unknown: UNKNOWN_UUID };
  if (name === "slug_or_id") return { foreign: `'${SLUGS.b}'`, unknown: "'zz-unknown'" };
  if (name === "series_ids") {
    return { foreign: `array[${series.b[dataset]}]`, unknown: `array[${1_000_000 + GUESSED_IDS}]` };
  }
  const filter = FOREIGN_RUNS[name];
  if (filter !== undefined && called.name === "recent_runs") return { foreign: filter, unknown: "'zz-unknown'" };
  const dimension = /^(vendor|symbol|timeframe|expiry|strike|option_type|name)(_value)?s?(_values)?$/.exec(name)?.[1];
  if (dimension === undefined || !type.startsWith("text") || /^(upsert|insert)_/.test(called.name)) return undefined;
  const unknown: Record<string, string> = {
    expiry: "'2444-04-04'",
    strike: "'444444.4'",
    timeframe: "'4h'",
    option_type: "'P'",
  };
  const [row] = await database.sql<{ value: string }>(
    `select quote_literal(${dimension}::text) as value from store.${dataset}_series where tenant_id = $1 limit 1`,
    [ids.b],
  );
  const values = { foreign: row!.value, unknown: unknown[dimension] ?? "'zz-unknown'" };
  if (dimension === "timeframe" || dimension === "option_type") return undefined; // everybody has these
  return type === "text[]" ? { foreign: `array[${values.foreign}]`, unknown: `array[${values.unknown}]` } : values;
}

/** The other arguments: possible ones that leave everything open, one element a list. */
function others(called: AttackedFunction, probed: number, value: string, flag: string, arena: Arena): string {
  const writes = /^(ensure|upsert|insert)_/.test(called.name);
  const plain: Readonly<Record<string, string>> = {
    "text[]": writes ? "array['5']" : "null",
    "timestamp with time zone[]": "array['2024-01-05Z']",
    "double precision[]": "array[0.5]",
    "bigint[]": "array[5]",
    "numeric[]": "array[5]",
    "jsonb[]": "array['{}']",
    "bytea[]": "array[decode('000102030405060708090a0b0c0d0e0f', 'hex')]",
    "integer[]": `array[${arena.series.a[datasetOf(called)]}]`,
    boolean: flag,
    integer: "100000",
    bigint: "1",
    interval: "'1 second'",
  };
  const named: Readonly<Record<string, string>> = {
    mode: "'live'",
    status: "'succeeded'",
    job_name: "'x'",
    window_start: "'-infinity'",
    window_end: "'infinity'",
    at_time: "'2024-06-01Z'",
    symbol_value: "'x'",
    timeframe_values: writes ? "array['1m']" : "null",
    expiry_values: writes ? "array['2030-01-01']" : "null",
    named_timeframes: "array['5m', '1d']",
    option_type_values: writes ? "array['C']" : "null",
  };
  const list = called.argTypes.map((type, at) => {
    if (at === probed) return `${value}::${type}`;
    return `${named[called.argNames[at]!] ?? plain[type] ?? "null"}::${type}`;
  });
  return list.join(", ");
}

function datasetOf({ name }: AttackedFunction): string {
  const found = /bars|options|fundamentals|news|signals/.exec(name)?.[0];
  return found ?? (name.includes("option") ? "options" : "bars");
}

function probe(visitor: Visitor, name: string, questions: (value: string) => string[], pair: Pair): AttackCase {
  return {
    name: `${visitor.name} × probe of ${name}`,
    run: async (arena: Arena, visits: Visits) => {
      // The first one of a session also reads catalogs; it is asked in vain.
      await visits.run(visitor, questions(pair.unknown));
      const ask = async (): Promise<[Awaited<ReturnType<Visits["run"]>>, string, string]> => {
        const answer = await visits.run(visitor, questions(pair.foreign));
        const other = await visits.run(visitor, questions(pair.unknown));
        return [answer, withoutValues(answer, pair, arena), withoutValues(other, pair, arena)];
      };
      let [foreign, told, expected] = await ask();
      // The server's own vacuum may have changed an estimate between the two; what leaks does so every time.
      for (let again = 0; told !== expected && again < 3; again++) [foreign, told, expected] = await ask();
      if (told !== expected) {
        const at = Array.from(told).findIndex((character, place) => character !== expected[place]);
        const excerpt = (text: string): string => text.slice(Math.max(0, at - 300), at + 300);
        throw new Error(
          report(
            `${visitor.name} can tell a foreign value from none:\n${excerpt(expected)}\n—\n${excerpt(told)}`,
            foreign,
            "",
            "",
          ),
        );
      }
      expectNoLeak({ ...foreign, answers: [], notices: [], error: undefined }, arena, visitor);
    },
  };
}

/** What differs because the question does: the value in conditions, printed plans but for their numbers, new ids. */
function withoutValues(transcript: Transcript, { foreign, unknown }: Pair, { runs }: Arena): string {
  const bare = [foreign, unknown].map((value) => value.replace(/^\(*(array\[)?'?/, "").replace(/'?\]?(::.*)?$/, ""));
  const notices = transcript.notices.map((notice) =>
    notice.includes("PLANNEDSTMT")
      ? (notice.match(/(startup_cost|total_cost|plan_rows) [\d.e+]+/g) ?? []).join(" ")
      : notice,
  );
  let text = textOf({ ...transcript, notices }).replaceAll(/(?<!by )(Filter|Cond|Output): (?:[^"\\]|\\.)*/g, "$1: ?");
  const texts = [...bare, runs.b, UNKNOWN_UUID.replaceAll("'", "")].filter((value) => !/^[\d.]+$/.test(value));
  for (const value of texts) text = text.replaceAll(value, "?");
  return text.replaceAll(/"f":"\{\d+\}"/g, "NEW ID").replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]*\+\d\d/g, "TIME");
}
