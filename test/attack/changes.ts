/** What happens to sessions that are open while tenants, bindings, roles and logins change under them. */
import pg from "pg";
import { expect, inject } from "vitest";
import { openStore } from "../../src/client/open-store.ts";
import { collect, manyBars } from "../support/bars.ts";
import { loginUrl } from "../support/test-database.ts";
import { type Arena, LOGINS } from "./arena.ts";
import type { AttackCase } from "./matrix.ts";

const TEMPORARY = "mds_attack_temporary";
const RENAMED = "mds_attack_renamed";
const REFUSED = "42501";
const ENSURE = "select mds.ensure_bars_series(array['x'], array['x'], array['1m'])";

interface Session {
  /** Rows of the last statement as `vendor` texts, or the SQLSTATE. */
  vendors(statement?: string): Promise<string[] | string>;
  /** SQLSTATE, or "done". */
  run(...statements: string[]): Promise<string>;
}

type Change = readonly [name: string, run: (arena: Arena, open: (login: string) => Promise<Session>) => Promise<void>];

const CHANGES: readonly Change[] = [
  [
    "a tenant is marked for deletion: a bound login sees nothing from then on",
    async (arena, open) => {
      const session = await open(LOGINS.boundA);
      expect(await session.vendors()).toEqual(["amber-vendor"]);
      await withState(arena, "deleting", async () => expect(await session.vendors()).toEqual([]));
      expect(await session.vendors()).toEqual(["amber-vendor"]);
    },
  ],
  [
    "a tenant is marked for deletion: the application neither reads nor writes for it",
    async (arena, open) => {
      const session = await open("");
      await session.run(
        "set role mds_app",
        `set app.tenant_id = '${arena.ids.a}'`,
        "prepare p as select vendor from mds.bars",
      );
      expect(await session.vendors("execute p")).toContain("amber-vendor");
      await withState(arena, "deleting", async () => {
        expect(await session.vendors("execute p")).toEqual([]);
        expect(await session.vendors()).toEqual([]);
        expect(await session.run(ENSURE)).toBe(REFUSED);
        expect(await session.run("select mds.start_run(gen_random_uuid(), 'x', 'live')")).toBe(REFUSED);
      });
    },
  ],
  [
    "a tenant is marked for deletion inside a transaction that began before",
    async (arena, open) => {
      const session = await open(LOGINS.boundA);
      await session.run("begin");
      expect(await session.vendors()).toEqual(["amber-vendor"]);
      await withState(arena, "deleting", async () => expect(await session.vendors()).toEqual([]));
      await session.run("rollback");
    },
  ],
  [
    "a tenant is marked for deletion under a snapshot: what is seen is still its own",
    async (arena, open) => {
      const session = await open(LOGINS.boundA);
      await session.run("begin isolation level repeatable read");
      expect(await session.vendors()).toEqual(["amber-vendor"]);
      await withState(arena, "deleting", async () => expect(await session.vendors()).toEqual(["amber-vendor"]));
      await session.run("rollback");
    },
  ],
  [
    "a tenant is marked for deletion under an open store",
    async (arena) => {
      const store = await openStore({ url: arena.database.url, tenant: arena.ids.a });
      await collect(store.bars.read({}));
      await withState(arena, "deleting", async () => {
        expect(await collect(store.bars.read({}))).toEqual([]);
        expect(await store.bars.latest()).toEqual([]);
        await expect(store.bars.upsert(manyBars(1))).rejects.toMatchObject({ code: "tenant_refused" });
        await expect(openStore({ url: arena.database.url, tenant: arena.ids.a })).rejects.toMatchObject({
          code: "tenant_unknown",
        });
      });
      await store.close();
    },
  ],
  [
    "a login is bound while its session is open: it loses what its setting gave it",
    async (arena, open) => {
      const session = await temporary(arena, open, ["mds_reader", "mds_app"]);
      await session.run(`set app.tenant_id = '${arena.ids.b}'`);
      expect(await session.vendors()).toEqual(["basalt-vendor"]);
      await arena.database.sql(`revoke mds_app from ${TEMPORARY}`);
      expect(await session.vendors()).toEqual([]);
      await arena.database.sql("select mds.bind_login($1, $2)", [TEMPORARY, arena.ids.a]);
      expect(await session.vendors()).toEqual(["amber-vendor"]);
      await arena.database.sql(`grant mds_app to ${TEMPORARY}`);
      expect(await session.vendors()).toEqual(["amber-vendor"]);
    },
  ],
  [
    "a login is unbound while its session is open",
    async (arena, open) => {
      const session = await boundTemporary(arena, open);
      await session.run(`set app.tenant_id = '${arena.ids.a}'`);
      await arena.database.sql("select mds.unbind_login($1)", [TEMPORARY]);
      expect(await session.vendors()).toEqual([]);
    },
  ],
  [
    "a login is bound to another tenant: statements prepared before show the new one only",
    async (arena, open) => {
      const session = await boundTemporary(arena, open);
      await session.run("prepare p as select distinct vendor from mds.bars");
      for (let times = 0; times < 7; times++) expect(await session.vendors("execute p")).toEqual(["amber-vendor"]);
      await arena.database.sql("select mds.unbind_login($1)", [TEMPORARY]);
      await arena.database.sql("select mds.bind_login($1, $2)", [TEMPORARY, arena.ids.b]);
      expect(await session.vendors("execute p")).toEqual(["basalt-vendor"]);
    },
  ],
  [
    "a bound login is renamed: it has no tenant, whatever its roles and settings",
    async (arena, open) => {
      const session = await boundTemporary(arena, open);
      try {
        await arena.database.sql(`alter role ${TEMPORARY} rename to ${RENAMED}`);
        await arena.database.sql(`grant mds_app to ${RENAMED}`);
        await session.run(`set app.tenant_id = '${arena.ids.b}'`);
        expect(await session.vendors()).toEqual([]);
        const [listed] = await arena.database.sql("select login, valid from mds.list_bound_logins() where login = $1", [
          TEMPORARY,
        ]);
        expect(listed).toEqual({ login: TEMPORARY, valid: false });
      } finally {
        await arena.database.sql(`alter role ${RENAMED} rename to ${TEMPORARY}`);
      }
      expect(await session.vendors()).toEqual(["amber-vendor"]);
    },
  ],
  [
    "another login takes the name of a bound one: it has no tenant until it is bound itself",
    async (arena, open) => {
      await boundTemporary(arena, open);
      const session = await temporary(arena, open, ["mds_reader", "mds_app"], { keepBinding: true });
      await session.run(`set app.tenant_id = '${arena.ids.b}'`);
      expect(await session.vendors()).toEqual([]);
      await session.run("set role mds_app");
      expect(await session.run(ENSURE)).toBe(REFUSED);
      await arena.database.sql(`revoke mds_app from ${TEMPORARY}`);
      await arena.database.sql("select mds.bind_login($1, $2)", [TEMPORARY, arena.ids.a]);
      await session.run("reset role");
      expect(await session.vendors()).toEqual(["amber-vendor"]);
    },
  ],
  [
    "mds_app is taken from a login whose session acts as it",
    async (arena, open) => {
      const session = await temporary(arena, open, ["mds_app"]);
      await session.run("set role mds_app", `set app.tenant_id = '${arena.ids.b}'`);
      expect(await session.vendors()).toEqual(["basalt-vendor"]);
      await arena.database.sql(`revoke mds_app from ${TEMPORARY}`);
      expect(await session.vendors()).toEqual([]);
      expect(await session.run(ENSURE)).toBe(REFUSED);
    },
  ],
  [
    "mds_reader is taken from a bound login",
    async (arena, open) => {
      const session = await boundTemporary(arena, open);
      await arena.database.sql(`revoke mds_reader from ${TEMPORARY}`);
      expect(await session.vendors()).toBe(REFUSED);
    },
  ],
  [
    "a bound login that was made a member of mds_app writes to its own tenant only",
    async (arena, open) => {
      const session = await open(LOGINS.boundApp);
      await session.run("set role mds_app", `set app.tenant_id = '${arena.ids.b}'`);
      expect(await session.run("select mds.ensure_bars_series(array['of-bound-app'], array['X'], array['1m'])")).toBe(
        "done",
      );
      const rows = await arena.database.sql("select tenant_id from store.bars_series where vendor = 'of-bound-app'");
      expect(rows).toEqual([{ tenant_id: arena.ids.a }]);
    },
  ],
  [
    "other sessions' queries are not shown to a bound login",
    async (_, open) => {
      const other = await open("");
      await other.run("set role mds_app", "select 'basalt, asked by somebody else'");
      const session = await open(LOGINS.boundA);
      const seen = await session.vendors("select coalesce(query, '') as vendor from pg_stat_activity");
      expect(String(seen)).toContain("insufficient privilege");
      expect(String(seen)).not.toContain("basalt, asked");
    },
  ],
  [
    "partitions: one call makes at most 64, and none outside the times that can be stored",
    async (arena, open) => {
      const session = await open("");
      await session.run("set role mds_app", `set app.tenant_id = '${arena.ids.a}'`);
      const make = (from: string, months: number): Promise<string> =>
        session.run(
          `select count(*) from mds.ensure_partitions('bars', array(select '${from}'::timestamptz + g * interval '1 month' from generate_series(0, ${months - 1}) g))`,
        );
      const count = async (): Promise<unknown> =>
        (
          await arena.database.sql("select count(*) from pg_inherits where inhparent = 'store.bars_data'::regclass")
        )[0]!["count"];
      const before = await count();
      // A hypertable makes none before rows come.
      if (inject("engine") === "plain") expect(await make("1950-01-01Z", 65)).toBe("22023");
      expect(await make("1899-12-31Z", 1)).toBe("MD002");
      expect(await make("infinity", 1)).toBe("MD002");
      expect(await make("3000-01-01Z", 1)).toBe("MD002");
      expect(await count()).toBe(before);
      for (const name of ["settings", "bars_series", "bars_data", 'bars"; drop table store.tenants; --', ""]) {
        expect(await session.run(`select mds.ensure_partitions('${name}', array[now()])`)).toBe("22023");
      }
    },
  ],
];

export function changeCases(): AttackCase[] {
  return CHANGES.map(([name, change]) => ({
    name,
    run: async (arena) => {
      const clients: pg.Client[] = [];
      try {
        await change(arena, async (login) => {
          const url = login === "" ? arena.database.url : loginUrl(arena.database, login);
          const client = new pg.Client({ connectionString: url });
          client.on("error", () => {});
          await client.connect();
          clients.push(client);
          return sessionOn(client);
        });
      } finally {
        for (const client of clients) await client.end();
        await arena.database.sql("delete from store.role_tenants where role_name = $1", [TEMPORARY]);
        await arena.database.sql(`drop role if exists ${TEMPORARY}`);
      }
    },
  }));
}

function sessionOn(client: pg.Client): Session {
  const attempt = async <T>(work: () => Promise<T>): Promise<T | string> => {
    try {
      return await work();
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  return {
    vendors: (statement = "select distinct vendor from mds.bars") =>
      attempt(async () => (await client.query<{ vendor: string }>(statement)).rows.map(({ vendor }) => vendor)),
    run: (...statements) =>
      attempt(async () => {
        for (const statement of statements) await client.query(statement);
        return "done";
      }),
  };
}

async function temporary(
  { database }: Arena,
  open: (login: string) => Promise<Session>,
  roles: readonly string[],
  { keepBinding = false } = {},
): Promise<Session> {
  if (!keepBinding) await database.sql("delete from store.role_tenants where role_name = $1", [TEMPORARY]);
  await database.sql(`drop role if exists ${TEMPORARY}`);
  await database.sql(`create role ${TEMPORARY} login password '${TEMPORARY}'`);
  for (const role of roles) await database.sql(`grant ${role} to ${TEMPORARY}`);
  return open(TEMPORARY);
}

/** Bound to a. */
async function boundTemporary(arena: Arena, open: (login: string) => Promise<Session>): Promise<Session> {
  const session = await temporary(arena, open, ["mds_reader"]);
  await arena.database.sql("select mds.bind_login($1, $2)", [TEMPORARY, arena.ids.a]);
  expect(await session.vendors()).toEqual(["amber-vendor"]);
  return session;
}

/** While tenant a is in a state. */
async function withState({ database, ids }: Arena, state: string, work: () => Promise<unknown>): Promise<void> {
  await database.sql("update store.tenants set state = $2 where id = $1", [ids.a, state]);
  try {
    await work();
  } finally {
    await database.sql("update store.tenants set state = 'active' where id = $1", [ids.a]);
  }
}
