/** What a session may try by itself: roles, settings, names, prepared statements, cursors, catalogs, sequences. */
import { type Arena, LOGINS, SLUGS } from "./arena.ts";
import type { AttackCase } from "./matrix.ts";
import { expectNoLeak, report, textOf, type Visits } from "./transcript.ts";
import { VISITORS, type Visitor } from "./visitors.ts";

interface Trick {
  readonly name: string;
  readonly statements: (arena: Arena) => readonly string[];
  /** SQLSTATE that it must end with; any or none unless given. */
  readonly ends?: string;
  /** What must come out where the visitor has a tenant, so that the trick is known to have worked. */
  readonly shows?: string;
  /** Statements outside a transaction. */
  readonly bare?: boolean;
}

const DENIED = "42501";
const BARS = "select distinct vendor from mds.bars";
const setting = (name: string, value: string): string => `select from set_config('${name}', '${value}', false)`;

/** Roles: nobody becomes somebody else. */
const ROLES: readonly Trick[] = [
  ...["mds_owner", "mds_admin", "postgres", LOGINS.owner, LOGINS.boundGone, LOGINS.boundEmpty].flatMap(
    (role): Trick[] => [
      { name: `set role ${role}`, statements: () => [`set role ${role}`], ends: role === "postgres" ? "*" : DENIED },
      { name: `set session authorization ${role}`, statements: () => [`set session authorization ${role}`], ends: "*" },
      { name: `a setting for role ${role}`, statements: () => [setting("role", role), BARS], ends: "*" },
    ],
  ),
  {
    name: "session_authorization by set_config",
    statements: () => [setting("session_authorization", LOGINS.boundEmpty)],
    ends: DENIED,
  },
  { name: "reset role", statements: () => ["reset role", BARS] },
  { name: "set role none", statements: () => ["set role none", BARS] },
  {
    name: "set local role in a subtransaction",
    statements: () => ["savepoint s", "set local role mds_owner"],
    ends: DENIED,
  },
  { name: "grant to oneself", statements: () => ["grant mds_owner to current_user"], ends: "*" },
  {
    name: "grant another login to oneself",
    statements: () => [`grant ${LOGINS.boundGone} to current_user`],
    ends: "*",
  },
  { name: "become a superuser", statements: () => ["alter role current_user superuser"], ends: DENIED },
  { name: "make a role", statements: () => ["create role mds_attack_made in role mds_owner"], ends: DENIED },
  { name: "rename oneself", statements: () => [`alter role ${LOGINS.boundA} rename to mds_attack_renamed`], ends: "*" },
  {
    name: "change another login's settings",
    statements: () => [`alter role ${LOGINS.boundEmpty} set app.tenant_id = 'x'`],
    ends: DENIED,
  },
  {
    name: "reassign what the owner owns",
    statements: () => ["reassign owned by mds_owner to current_user"],
    ends: DENIED,
  },
  {
    name: "a function that sets a role",
    statements: () => [
      "create function pg_temp.up() returns text language sql set role = 'mds_owner' as 'select current_user::text'",
      "select pg_temp.up()",
    ],
    ends: "*",
  },
  {
    name: "a security definer function of one's own",
    shows: "amber-vendor",
    statements: () => [
      "create function pg_temp.mine() returns setof text language sql security definer as 'select vendor from mds.bars'",
      "select * from pg_temp.mine()",
    ],
  },
  {
    name: "default privileges of the owner",
    statements: () => ["alter default privileges for role mds_owner grant all on tables to public"],
    ends: DENIED,
  },
];

/** Settings: none is a credential. */
const SETTINGS: readonly Trick[] = [
  ...[
    "app.tenant_id",
    "App.Tenant_Id",
    "app.tenant",
    "mds.tenant_id",
    "store.tenant_id",
    "session.user",
    "app.bound",
  ].flatMap((name): Trick[] => [
    { name: `${name} by set`, statements: ({ ids }) => [`set ${name} = '${ids.b}'`, BARS] },
    { name: `${name} by set local`, statements: ({ ids }) => [`set local ${name} = '${ids.gone}'`, BARS] },
  ]),
  {
    name: "the tenant changed between two uses of one statement",
    statements: ({ ids }) => [
      `prepare p as ${BARS}`,
      "execute p",
      setting("app.tenant_id", ids.b),
      "execute p",
      setting("app.tenant_id", ids.gone),
      "execute p",
      "execute p",
      "execute p",
      "execute p",
      "execute p",
      "execute p",
    ],
  },
  {
    name: "the tenant changed within one statement",
    statements: ({ ids }) => [
      `select b.vendor from mds.bars b, lateral (select set_config('app.tenant_id', '${ids.b}', true)) s`,
      `with s as materialized (select set_config('app.tenant_id', '${ids.b}', true)) select b.vendor from s, mds.bars b`,
    ],
  },
  {
    name: "the tenant changed by a function in the condition",
    shows: "amber-vendor",
    statements: ({ ids }) => [
      `create function pg_temp.turn(text) returns boolean language plpgsql cost 0.000001 as $$
       begin perform set_config('app.tenant_id', '${ids.b}', false); return true; end $$`,
      "select vendor from mds.bars where pg_temp.turn(vendor)",
      BARS,
    ],
  },
  {
    name: "the tenant changed under an open cursor",
    shows: "amber-vendor",
    statements: ({ ids }) => [`declare c cursor for ${BARS}`, setting("app.tenant_id", ids.b), "fetch all from c"],
  },
  {
    name: "the tenant changed under a cursor that is half read",
    statements: ({ ids }) => [
      "declare c cursor for select vendor from mds.bars",
      "fetch 1 from c",
      setting("app.tenant_id", ids.b),
      "fetch all from c",
    ],
  },
  {
    name: "a cursor that outlives its transaction",
    shows: "amber-vendor",
    bare: true,
    statements: ({ ids }) => [
      "begin",
      `declare c cursor with hold for ${BARS}`,
      setting("app.tenant_id", ids.b),
      "commit",
      "fetch all from c",
      "close c",
    ],
  },
  {
    name: "a rolled back tenant",
    bare: true,
    statements: ({ ids }) => [
      "begin",
      setting("app.tenant_id", ids.b),
      "rollback",
      BARS,
      "begin",
      "savepoint s",
      setting("app.tenant_id", ids.b),
      "rollback to s",
      BARS,
      "commit",
    ],
  },
  { name: "session_replication_role", statements: () => ["set session_replication_role = replica"], ends: DENIED },
  { name: "row_security off", statements: () => ["set row_security = off", BARS] },
  { name: "a check of function bodies switched off", statements: () => ["set check_function_bodies = off", BARS] },
  {
    name: "every message there is",
    shows: "PLANNEDSTMT",
    statements: () => [
      "set client_min_messages = debug5; set debug_print_parse = on; set debug_print_rewritten = on; set debug_print_plan = on",
      "select * from mds.bars; select * from mds.news; select * from mds.options_snap",
      "select * from mds.find_news_series(null, true, 100); select * from mds.read_latest_prices(null, null)",
    ],
  },
  {
    name: "strict checks of PL/pgSQL",
    statements: () => [
      "set plpgsql.extra_errors = 'all'; set plpgsql.extra_warnings = 'all'; set plpgsql.print_strict_params = on",
      "select * from mds.read_latest_prices(null, null); select * from mds.data_freshness",
    ],
  },
];

/** Names: what we mean is not what a session can put in our way. */
const NAMES: readonly Trick[] = [
  {
    name: "a temporary table named like a table of ours",
    statements: ({ ids }) => [
      "create temp table tenants as select 1 as id",
      `create temp table role_tenants as select '${ids.b}'::uuid as tenant_id`,
      "set search_path = pg_temp, mds, store",
      "select distinct vendor from mds.bars; select * from mds.session_tenant(null)",
    ],
  },
  { name: "a schema named store", statements: () => ["create schema store"], ends: DENIED },
  { name: "a table in schema mds", statements: () => ["create table mds.mine ()"], ends: DENIED },
  {
    name: "a function in schema mds",
    statements: () => ["create function mds.mine() returns int4 language sql as 'select 1'"],
    ends: DENIED,
  },
  { name: "a table in schema public", statements: () => ["create table public.mine ()"], ends: DENIED },
  {
    name: "schema store in the search path",
    statements: () => ["set search_path = store, mds", "select * from bars_data"],
    ends: "42P01",
  },
  {
    name: "an operator that is searched first",
    shows: "amber-vendor",
    statements: () => ["set search_path = attack_evil, pg_catalog", BARS],
  },
  {
    name: "a cast of one's own",
    shows: "cast (amber-vendor)",
    statements: () => [
      "create type pg_temp.box2 as (v text)",
      "create function pg_temp.tell(pg_temp.box2) returns text language plpgsql as $$ begin raise notice 'cast %', $1; return 'x'; end $$",
      "create cast (pg_temp.box2 as text) with function pg_temp.tell(pg_temp.box2)",
      "select row(vendor)::pg_temp.box2::text from mds.bars",
    ],
  },
  {
    name: "a domain whose check tells",
    shows: "domain amber-vendor",
    statements: () => [
      "create function pg_temp.told(text) returns boolean language plpgsql as $$ begin raise notice 'domain %', $1; return true; end $$",
      "create domain pg_temp.d as text check (pg_temp.told(value))",
      "select vendor::pg_temp.d, title::pg_temp.d from mds.news",
    ],
  },
  {
    name: "an aggregate of one's own",
    shows: "gathered amber",
    statements: () => [
      "create function pg_temp.gather(text, text) returns text language plpgsql cost 0.0000001 as $$ begin raise notice 'gathered %', $2; return $2; end $$",
      "create aggregate pg_temp.agg(text) (sfunc = pg_temp.gather, stype = text)",
      "select pg_temp.agg(vendor || symbol) from mds.bars; select pg_temp.agg(title) filter (where title > 'b') from mds.news",
    ],
  },
  { name: "an index with a telling function", statements: () => ["create index on mds.bars (vendor)"], ends: "*" },
  {
    name: "a foreign key that asks for rows",
    statements: () => ["create temp table t (id int4 references store.bars_series)"],
    ends: "*",
  },
  {
    name: "statistics on a view",
    statements: () => ["create statistics pg_temp.s on vendor, symbol from mds.bars"],
    ends: "*",
  },
  { name: "a publication", statements: () => ["create publication p for table store.bars_data"], ends: "*" },
  {
    name: "an event trigger",
    statements: () => ["create event trigger e on ddl_command_start execute function pg_notify()"],
    ends: "*",
  },
];

/** Catalogs and statistics: they show tables and how many rows they have, never what is in them. */
const CATALOGS: readonly Trick[] = [
  ...[
    "select * from pg_stats",
    "select * from pg_stats_ext",
    "select * from pg_stats_ext_exprs",
    "select * from pg_stat_activity",
    "select * from pg_stat_user_tables",
    "select * from pg_stat_user_indexes",
    "select * from pg_statio_user_tables",
    "select * from pg_stat_user_functions",
    "select * from pg_stat_database",
    "select * from pg_locks",
    "select * from pg_prepared_statements",
    "select * from pg_cursors",
    "select * from pg_class",
    "select * from pg_attribute",
    "select * from pg_proc where pronamespace::regnamespace::text in ('mds', 'store')",
    "select pg_get_viewdef(oid) from pg_class where relkind = 'v'",
    "select * from pg_constraint",
    "select * from pg_attrdef",
    "select * from pg_inherits",
    "select pg_get_expr(relpartbound, oid) from pg_class where relispartition",
    "select * from pg_roles",
    "select * from pg_auth_members",
    "select * from pg_db_role_setting",
    "select * from pg_description",
    "select * from pg_settings",
    "select * from pg_depend",
    "select * from information_schema.columns",
    "select * from information_schema.role_table_grants",
    "select * from information_schema.sequences",
    "select * from pg_sequences",
    "select pg_sequence_last_value(oid) from pg_class where relkind = 'S'",
    "select pg_relation_size(oid), pg_total_relation_size(oid) from pg_class where relkind = 'r'",
    "select pg_stat_get_live_tuples(oid), pg_stat_get_last_autoanalyze_time(oid) from pg_class",
    "select query_to_xml('select * from mds.bars', true, true, '')",
    "select schema_to_xml('mds', true, true, '')",
    "select ts_stat('select to_tsvector(title) from mds.news')",
  ].map((statement): Trick => ({ name: statement, statements: () => [statement] })),
  ...[
    "select * from pg_statistic",
    "select * from pg_authid",
    "select * from pg_stat_get_activity(null) a, pg_statistic s",
    "select schema_to_xml('store', true, true, '')",
    "select table_to_xml('store.bars_data'::regclass, true, true, '')",
    "select query_to_xml('select * from store.bars_data', true, true, '')",
    "select cursor_to_xml('c', 1, true, true, '')",
    "select pg_read_file('postgresql.conf')",
    "select pg_ls_dir('base')",
    "select lo_import('/etc/passwd')",
    "copy mds.bars from '/dev/null'",
    "copy (select 1) to program 'cat'",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres' or usename like '%service%'",
    "analyze store.bars_data; select pg_reload_conf()",
    "alter system set log_statement = 'all'",
    "load 'auto_explain'",
    "create extension dblink",
    "vacuum full store.bars_data",
    "select pg_stat_reset()",
    "checkpoint",
    "select pg_get_backend_memory_contexts()",
    "select pg_log_backend_memory_contexts(pg_backend_pid())",
    "select pg_export_snapshot() from store.tenants",
  ].map((statement): Trick => ({ name: statement, statements: () => [statement], ends: "*" })),
];

/** Sequences: ids are handed out, never shown. */
const SEQUENCES: readonly Trick[] = [
  { name: "lastval", statements: () => ["select lastval()"], ends: "*" },
  {
    name: "pg_get_serial_sequence",
    statements: () => ["select nextval(pg_get_serial_sequence('store.bars_series', 'series_id'))"],
    ends: "*",
  },
  {
    name: "sequences by number",
    statements: () => ["select nextval(oid::regclass) from pg_class where relkind = 'S'"],
    ends: DENIED,
  },
  {
    name: "tables by number",
    statements: () => [
      "select table_to_xml(oid::regclass, true, true, '') from pg_class where relname = 'bars_series'",
    ],
    ends: "*",
  },
];

/** For every visitor of these: the tricks of a person who has a database login and time. */
const TRICKSTERS = ["bound to a", "reader that is not bound", "login without any role, with the tenant set to b"];

export function trickCases(): AttackCase[] {
  const tricks = [...ROLES, ...SETTINGS, ...NAMES, ...CATALOGS, ...SEQUENCES];
  const visitors = VISITORS.filter(({ name }) => TRICKSTERS.includes(name));
  return visitors.flatMap((visitor) => tricks.map((trick) => trickCase(visitor, trick)));
}

function trickCase(visitor: Visitor, { name, statements, ends, shows, bare = false }: Trick): AttackCase {
  return {
    name: `${visitor.name} × ${name}`,
    run: async (arena: Arena, visits: Visits) => {
      // What it needs from mds it may not even use.
      const transcript = await visits.run(visitor, statements(arena), { bare });
      const code = transcript.error?.["code"];
      const isRight = ends === undefined || (ends === "*" ? code !== undefined : code === ends || code === DENIED);
      const text = textOf(transcript);
      if (!isRight) throw new Error(report(`It ended with ${String(code)}, not ${ends}`, transcript, text, ""));
      if (shows !== undefined && visitor.tenant === "a" && !text.includes(shows))
        throw new Error(report(`It did not show ${shows}`, transcript, text, ""));
      expectNoLeak(transcript, arena, { ...visitor, toleratesFaults: true });
    },
  };
}

/** Asking for somebody else's tenant by any name. */
export function sessionTenantCases(): AttackCase[] {
  const visitor = VISITORS.find(({ name }) => name === "bound to a")!;
  const questions = (arena: Arena): (string | null)[] => [
    SLUGS.b,
    SLUGS.gone,
    SLUGS.empty,
    arena.ids.b,
    arena.ids.gone,
    arena.ids.empty,
    arena.ids.b.toUpperCase(),
    ` ${SLUGS.b}`,
    `${SLUGS.b}%`,
    "' or true --",
    "",
    "default",
  ];
  return Array.from({ length: 12 }, (_, at) => ({
    name: `${visitor.name} × asks for another's tenant, ${at + 1}`,
    run: async (arena, visits) => {
      const asked = questions(arena)[at]!;
      const transcript = await visits.run(visitor, [
        `select * from mds.session_tenant('${asked.replaceAll("'", "''")}')`,
      ]);
      if (textOf(transcript) !== '{"answers":[[]],"notices":[]}')
        throw new Error(report("Answered", transcript, textOf(transcript), ""));
    },
  }));
}
