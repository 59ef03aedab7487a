/** Every relation and every function times every visitor: read, write, copied, explained, and looked at from within. */
import { expect } from "vitest";
import { FUNCTIONS, VIEWS } from "./access.ts";
import { type Arena, DATASETS } from "./arena.ts";
import { callOf, VARIANTS, type Variant } from "./arguments.ts";
import type { AttackedFunction, Catalog } from "./catalog.ts";
import { expectNoLeak, fingerprint, report, sqlstateOf, type Transcript, textOf, type Visits } from "./transcript.ts";
import type { Visitor } from "./visitors.ts";

export interface AttackCase {
  readonly name: string;
  run(arena: Arena, visits: Visits): Promise<void>;
}

const INSUFFICIENT_PRIVILEGE = "42501";
const RUN_FINISHED = "MD004";
const LEAK = `create function pg_temp.leak(text) returns boolean language plpgsql cost 0.0000001
  as $$ begin raise notice 'saw %', $1; return true; end $$`;
const SAME = `create function pg_temp.same(text, text) returns boolean language plpgsql cost 0.0000001
  as $$ begin raise notice 'compared % with %', $1, $2; return true; end $$`;
const OPERATOR = "create operator pg_temp.~~~ (leftarg = text, rightarg = text, function = pg_temp.same)";

/** What is tried on a view `v`, as readings; those of the short list by every visitor. */
const READINGS: readonly { name: string; thorough?: boolean; statements: (v: string) => string[] }[] = [
  { name: "read", statements: (v) => [`select * from ${v}`] },
  { name: "a leaky function", statements: (v) => [LEAK, `select count(*) from ${v} v where pg_temp.leak(v::text)`] },
  {
    name: "a leaky operator",
    thorough: true,
    statements: (v) => [SAME, OPERATOR, `select count(*) from ${v} v where v::text operator(pg_temp.~~~) 'x'`],
  },
  {
    name: "a cast that fails with the value",
    statements: (v) => [`select count(*) from ${v} v where v::text::int4 > 0`],
  },
  {
    name: "a division that fails for one value only",
    thorough: true,
    statements: (v) => [
      `select count(*) from ${v} v where 1 / (case when v::text ~* 'basalt|227222' then 0 else 1 end) > 0`,
    ],
  },
  { name: "aggregates", statements: (v) => [`select count(*), min(v::text), max(v::text), jsonb_agg(v) from ${v} v`] },
  {
    name: "explain analyze with another plan",
    statements: (v) => [
      "set local enable_nestloop = off; set local enable_indexscan = off; set local enable_bitmapscan = off",
      `explain (analyze, verbose, buffers, settings, timing off, summary off) select * from ${v}`,
    ],
  },
  { name: "copy of a query", thorough: true, statements: (v) => [`copy (select * from ${v}) to stdout`] },
  {
    name: "a cursor",
    thorough: true,
    statements: (v) => [
      `declare c scroll cursor for select * from ${v}`,
      "fetch all from c",
      "fetch backward all from c",
    ],
  },
  {
    name: "a table and a view made of it",
    thorough: true,
    statements: (v) => [
      `create temp table copied as select * from ${v}`,
      `create temp view again as select * from ${v}`,
      "select * from copied; select * from again",
    ],
  },
  {
    name: "a lateral join",
    thorough: true,
    statements: (v) => [`select l.* from generate_series(1, 3) g cross join lateral (select v::text, g from ${v} v) l`],
  },
  {
    name: "a sample and a window",
    thorough: true,
    statements: (v) => [`select first_value(v::text) over (order by v::text desc), row_number() over () from ${v} v`],
  },
];

/** No visitor may do this to a view, whatever it may read. */
const VIEW_WRITES: readonly ((v: string, column: string) => string)[] = [
  (v, column) => `update ${v} set ${column} = ${column}`,
  (v) => `delete from ${v}`,
  (v) => `insert into ${v} select * from ${v}`,
  (v) => `select * from ${v} for update`,
  (v) => `copy ${v} to stdout`,
  (v) => `truncate ${v}`,
  (v) => `alter view ${v} set (security_barrier = false)`,
  (v) => `alter view ${v} set (security_invoker = true)`,
  (v) => `create or replace view ${v} as select 1 as one`,
  (v) => `drop view ${v}`,
  (v) =>
    `create trigger t instead of insert on ${v} for each row execute function suppress_redundant_updates_trigger()`,
  (v) => `create rule r as on insert to ${v} do also nothing`,
  (v) => `comment on view ${v} is 'mine'`,
];

const TABLE_ATTACKS: readonly ((t: string) => string)[] = [
  (t) => `select * from ${t}`,
  (t) => `explain select from ${t}`,
  (t) => `copy ${t} to stdout`,
  (t) => `insert into ${t} select * from ${t}`,
  (t) => `update ${t} set tenant_id = null`,
  (t) => `delete from ${t}`,
  (t) => `truncate ${t}`,
  (t) => `lock table ${t}`,
  (t) => `create temp table child () inherits (${t})`,
  (t) => `select currtid2('${t}', '(0,1)')`,
];

const PARTITION_ATTACKS: typeof TABLE_ATTACKS = [
  (t) => `select * from ${t}`,
  (t) => `copy ${t} to stdout`,
  (t) => `delete from ${t}`,
  (t) => `alter table ${t} disable trigger all`,
];

const SEQUENCE_ATTACKS: readonly ((s: string) => string)[] = [
  (s) => `select nextval('${s}')`,
  (s) => `select currval('${s}')`,
  (s) => `select setval('${s}', 1)`,
  (s) => `select last_value from ${s}`,
  (s) => `alter sequence ${s} restart`,
];

export function relationCases(
  visitors: readonly Visitor[],
  { tables, partitions, sequences, views }: Catalog,
): AttackCase[] {
  const cases: AttackCase[] = [];
  for (const visitor of visitors) {
    for (const [view, columns] of Object.entries(views)) cases.push(...viewCases(visitor, view, columns[0]!.name));
    if (visitor.thorough !== true) continue;
    const refused = (statement: string): AttackCase =>
      caseOf(visitor, statement, async (visits, arena) => {
        const transcript = await visits.run(visitor, [statement]);
        expectRefused(transcript);
        expectNoLeak(transcript, arena, visitor);
      });
    for (const table of tables) cases.push(...TABLE_ATTACKS.map((attack) => refused(attack(`store.${table}`))));
    for (const partition of partitions) {
      cases.push(...PARTITION_ATTACKS.map((attack) => refused(attack(partition))));
    }
    for (const sequence of sequences)
      cases.push(...SEQUENCE_ATTACKS.map((attack) => refused(attack(`store.${sequence}`))));
  }
  return cases;
}

function viewCases(visitor: Visitor, view: string, column: string): AttackCase[] {
  const name = `mds.${view}`;
  const roles = VIEWS[view] ?? [];
  const mayRead = roles.some((role) => visitor.rights.includes(role));
  // A view for administrators only is about all tenants.
  const maySeeAll = mayRead && roles.every((role) => role === "mds_admin");
  const readings = READINGS.filter(({ thorough }) => thorough !== true || visitor.thorough === true).map((reading) =>
    caseOf(visitor, `${name}: ${reading.name}`, async (visits, arena) => {
      const transcript = await visits.run(visitor, reading.statements(name));
      if (!mayRead) expectRefused(transcript);
      if (!maySeeAll) expectNoLeak(transcript, arena, visitor);
    }),
  );
  if (visitor.thorough !== true) return readings;
  const writes = VIEW_WRITES.map((write) => write(name, column)).map((statement) =>
    caseOf(visitor, statement, async (visits, arena) => {
      const transcript = await visits.run(visitor, [statement]);
      if (transcript.error === undefined) throw new Error(report(`${visitor.name} was let`, transcript, "", ""));
      expectNoLeak(transcript, arena, visitor);
    }),
  );
  return [...readings, ...writes];
}

const SHORT_VARIANTS: readonly Variant[] = ["possible values", "guesses"];

export function functionCases(visitors: readonly Visitor[], { functions }: Catalog): AttackCase[] {
  return visitors.flatMap((visitor) => functions.flatMap((called) => callCases(visitor, called)));
}

function callCases(visitor: Visitor, called: AttackedFunction): AttackCase[] {
  const roles = FUNCTIONS[`${called.schema}.${called.name}`] ?? [];
  const mayCall = called.schema === "mds" && roles.some((role) => visitor.rights.includes(role));
  if (!mayCall && visitor.thorough !== true) return [];
  const variants = !mayCall ? SHORT_VARIANTS.slice(0, 1) : visitor.thorough === true ? VARIANTS : SHORT_VARIANTS;
  // What an administrator may do changes what the other cases rely on.
  const commit = !visitor.isAdmin;
  return variants.map((variant) =>
    caseOf(visitor, `${called.schema}.${called.name} with ${variant}`, async (visits, arena) => {
      const dataset = DATASETS.find((name) => called.name.includes(name)) ?? "bars";
      const call = callOf(called, variant, { series: arena.series.a[dataset]!, run: arena.runs.a });
      const before = mayCall ? await visits.othersBefore(visitor) : undefined;
      const transcript = await visits.run(visitor, [LEAK, `select f from ${call} f where pg_temp.leak(f::text)`], {
        commit,
      });
      if (!mayCall) expectRefused(transcript);
      else if (visitor.tenant === "a" && variant === "possible values") expectAnswered(transcript);
      expectNoLeak(transcript, arena, visitor);
      if (before !== undefined) {
        const text = report("Rows of others changed", transcript, textOf(transcript), "");
        expect(await fingerprint(arena, visitor), text).toBe(before);
      }
    }),
  );
}

function expectRefused(transcript: Transcript): void {
  const code = sqlstateOf(transcript) ?? "none";
  if (code !== INSUFFICIENT_PRIVILEGE)
    throw new Error(report(`Not refused, but ${code}`, transcript, textOf(transcript), code));
}

/** The arguments really reach the function's work. */
function expectAnswered(transcript: Transcript): void {
  const code = sqlstateOf(transcript) ?? RUN_FINISHED;
  if (code !== RUN_FINISHED) throw new Error(report("Not answered", transcript, textOf(transcript), code));
}

function caseOf(visitor: Visitor, name: string, run: (visits: Visits, arena: Arena) => Promise<void>): AttackCase {
  return { name: `${visitor.name} × ${name}`, run: (arena, visits) => run(visits, arena) };
}
