/** The library, opened with every kind of login: each way to read, hostile values, and other tenants by any name. */
import { expect } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import type { StoreError } from "../../src/errors/store-error.ts";
import { collect } from "../support/bars.ts";
import { loginUrl } from "../support/test-database.ts";
import { type Arena, LOGINS, SLUGS } from "./arena.ts";
import type { AttackCase } from "./matrix.ts";
import { fingerprint, leaksIn } from "./transcript.ts";
import type { Visitor } from "./visitors.ts";

const OPENERS: Readonly<Record<string, (arena: Arena) => string>> = {
  "the service's login": ({ database }) => database.url,
  "a superuser": ({ database }) => database.adminUrl,
  "the owner's login": ({ database }) => loginUrl(database, LOGINS.owner),
  "a bound login": ({ database }) => loginUrl(database, LOGINS.boundA),
  "a bound login that is a member of mds_app": ({ database }) => loginUrl(database, LOGINS.boundApp),
};
const ALL = { start: "1990-01-01T00:00:00Z", end: "2100-01-01T00:00:00Z" } as const;

/** Bytes as texts are found in them: dictionaries and texts are UTF-8. */
async function textOf(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(Uint8Array.from(piece));
  return Buffer.concat(all).toString();
}

const READINGS: Readonly<Record<string, (store: Store) => Promise<unknown>>> = {
  "bars.read": (store) => collect(store.bars.read({})),
  "bars.readColumns": (store) => store.bars.readColumns({}),
  "bars.readArrow": (store) => textOf(store.bars.readArrow({})),
  "news.readArrow": (store) => textOf(store.news.readArrow({})),
  "bars.read of an aggregate": (store) => collect(store.bars.read({ timeframe: ["5m", "1d"] })),
  "bars.readColumns of an aggregate": (store) => store.bars.readColumns({ timeframe: ["15m", "1h"] }),
  "bars.series of an aggregate": (store) => store.bars.series({ timeframe: "5m" }),
  "bars.latest": (store) => store.bars.latest(),
  "bars.series": (store) => store.bars.series({}, { ignoreCase: true }),
  "options.read": (store) => collect(store.options.read({})),
  "options.chain": async (store) => [
    await store.options.chain({ symbol: "amber-1", at: "2024-06-01T00:00:00Z" }),
    await store.options.chain({ symbol: "basalt-1", at: "2024-06-01T00:00:00Z" }),
  ],
  "fundamentals.read": (store) => collect(store.fundamentals.read({ newestFirst: true })),
  "news.read": (store) => collect(store.news.read({ newestFirst: true })),
  "news.readColumns": (store) => store.news.readColumns({}),
  "signals.read": (store) => collect(store.signals.read({})),
  "signals.latest": (store) => store.signals.latest(),
  "signals.summary": (store) => store.signals.summary(ALL),
  freshness: (store) => store.freshness(),
  "runs.recent": (store) => store.runs.recent(),
  "runs.stuck": (store) => store.runs.stuck(1),
  "runs.summary": (store) => store.runs.summary(24),
};
/** Answers that are empty for a: nothing of it can be looked for in them. */
const MAY_BE_EMPTY = new Set(["runs.stuck"]);

const HOSTILE = [
  "basalt-1",
  "BASALT-1",
  "'; drop table store.tenants; --",
  "%",
  "_",
  "*",
  "{basalt-1}",
  "\\",
  '"',
  "null",
  "$1",
];

export function libraryCases(): AttackCase[] {
  return [...readingCases(), ...hostileCases(), ...tenantCases()];
}

function readingCases(): AttackCase[] {
  return Object.entries(OPENERS).flatMap(([who, url]) =>
    Object.entries(READINGS).map(([what, read]) => ({
      name: `${who} × ${what}`,
      run: async (arena: Arena) => {
        const store = await openStore({ url: url(arena), tenant: arena.ids.a });
        const text = asText(await read(store));
        await store.close();
        expect(leaksIn(text, arena, OF_A)).toEqual([]);
        if (!MAY_BE_EMPTY.has(what)) expect(text).toMatch(/amber|117111/);
      },
    })),
  );
}

function hostileCases(): AttackCase[] {
  return HOSTILE.flatMap((value) =>
    (["bars", "options", "fundamentals", "news", "signals"] as const).map((name) => ({
      name: `${name} of ${value}`,
      run: async (arena: Arena) => {
        const dataset = arena.stores.a[name];
        const query = name === "news" ? { vendor: value } : { symbol: value };
        expect(await collect(dataset.read(query as never) as AsyncIterable<object[]>)).toEqual([]);
        expect(await dataset.series(query as never, { ignoreCase: true })).toEqual([]);
      },
    })),
  );
}

function tenantCases(): AttackCase[] {
  const wanted = (arena: Arena): string[] => [
    arena.ids.gone,
    SLUGS.gone,
    "nobody",
    "",
    "%",
    "' or true --",
    arena.ids.b.toUpperCase(),
    ` ${SLUGS.b}`,
    "0".repeat(10_000),
  ];
  const forBound = (arena: Arena): string[] => [arena.ids.b, SLUGS.b, arena.ids.empty, SLUGS.empty, "default"];
  return Object.entries(OPENERS).flatMap(([who, url]) =>
    Array.from({ length: 14 }, (_, at) => ({
      name: `${who} × a tenant that it may not have, ${at + 1}`,
      run: async (arena: Arena) => {
        const isBound = who.startsWith("a bound login");
        const tenant = (isBound ? [...wanted(arena), ...forBound(arena)] : wanted(arena))[at];
        if (tenant === undefined) return;
        const error = await openStore({ url: url(arena), tenant }).then(
          () => undefined,
          (thrown: StoreError) => thrown,
        );
        expect(error).toMatchObject({ code: "tenant_unknown" });
        // Word for word what is said of one that does not exist.
        expect(error!.message).toBe(`There is no tenant "${tenant}"; make it with \`mds tenant create ${tenant}\`.`);
        expect(error!.details).toEqual({});
      },
    })),
  );
}

/** These leave rows of other tenants' names with a and the empty tenant. */
export function libraryWriteCases(): AttackCase[] {
  const bar = {
    vendor: "basalt-vendor",
    symbol: "basalt-1",
    timeframe: "1m",
    ts: "2024-01-03T09:30:00.227222Z",
    open_price: 1,
    high_price: 1,
    low_price: 1,
    close_price: 1,
    volume: 1,
  } as const;
  return [
    {
      name: "the very keys of another tenant are one's own rows",
      run: async (arena) => {
        const store = await openStore({ url: arena.database.url, tenant: arena.ids.empty });
        const before = await fingerprint(arena, { ...OF_A, tenant: "empty" });
        expect(await store.bars.upsert([bar])).toMatchObject({ inserted: 1, updated: 0, unchanged: 0 });
        expect(await store.bars.upsert([bar])).toMatchObject({ unchanged: 1 });
        expect(await collect(store.bars.read({}))).toHaveLength(1);
        expect(await fingerprint(arena, { ...OF_A, tenant: "empty" })).toBe(before);
        await store.close();
      },
    },
    {
      name: "an absent field does not take the value of another tenant's row",
      run: async (arena) => {
        const { close_price: _, ...partial } = { ...bar, vendor: "basalt-vendor", symbol: "basalt-2" };
        const result = await arena.stores.a.bars.upsert([partial as never]);
        expect(result.rejections.map(({ code }) => code)).toEqual(["field_missing"]);
      },
    },
    {
      name: "another tenant's run and one that does not exist are told of in the same words",
      run: async (arena) => {
        const unknown = "12345678-1234-4234-8234-123456789abc";
        const { runs } = arena.stores.a;
        const calls: ((id: string) => Promise<unknown>)[] = [
          (id) => runs.get(id),
          (id) => runs.progress(id, { rows_written: 1 }),
          (id) => runs.heartbeat(id),
          (id) => runs.complete(id),
        ];
        for (const call of calls) {
          const told = await Promise.all(
            [arena.runs.b, unknown].map(async (id) => asError(await call(id).catch((e) => e), id)),
          );
          expect(told[0]).toBe(told[1]);
          expect(told[0]).toContain("run_unknown");
        }
      },
    },
    {
      name: "a bound login's writes are refused, and nothing is written",
      run: async (arena) => {
        const store = await openStore({ url: loginUrl(arena.database, LOGINS.boundA) });
        const before = await fingerprint(arena, { ...OF_A, tenant: "empty" });
        const writes: (() => Promise<unknown>)[] = [
          () => store.bars.upsert([bar]),
          () => store.news.upsert([{ vendor: "amber-vendor-0", published_at: bar.ts, title: "t", url: "u" }]),
          () => store.runs.start({ job_name: "x", mode: "live" }),
          () => store.runs.complete(arena.runs.a),
        ];
        for (const write of writes) await expect(write()).rejects.toMatchObject({ code: "tenant_refused" });
        expect(await fingerprint(arena, { ...OF_A, tenant: "empty" })).toBe(before);
        await store.close();
      },
    },
    {
      name: "a login without a tenant cannot open a store",
      run: async (arena) => {
        for (const login of [LOGINS.unbound, LOGINS.boundGone, LOGINS.recreated]) {
          await expect(openStore({ url: loginUrl(arena.database, login) })).rejects.toMatchObject({
            code: "tenant_unknown",
          });
          await expect(openStore({ url: loginUrl(arena.database, login), tenant: arena.ids.b })).rejects.toMatchObject({
            code: "tenant_unknown",
          });
        }
        await expect(openStore({ url: loginUrl(arena.database, LOGINS.stranger) })).rejects.toMatchObject({
          code: "tenant_refused",
        });
      },
    },
  ];
}

/** Stands for whoever may see tenant a and nothing else. */
const OF_A: Visitor = { name: "a", login: "", before: () => [], tenant: "a", rights: [] };

function asText(value: unknown): string {
  return JSON.stringify(value, (_, part) => (typeof part === "bigint" ? String(part) : part));
}

/** All that an error says, without the id that was asked for. */
function asError(error: unknown, id: string): string {
  const { code, message, details, cause } = error as StoreError;
  const { message: inner, detail, hint, where } = (cause ?? {}) as Record<string, string>;
  return asText({ code, message, details, inner, detail, hint, where }).replaceAll(id, "ID");
}
