/** Tenants, ingest tokens, keys of requests and unknown names over HTTP, each followed to what the database then has. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore } from "../../src/client/open-store.ts";
import { findTokenTenant } from "../../src/database/ingest-tokens.ts";
import { adminScope, refresh } from "../support/aggregates.ts";
import { manyBars } from "../support/bars.ts";
import { type ControlPlane, startControlPlane } from "../support/control-plane.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

/** The admin routes of the service's specification. */
const ADMIN_ROUTES = {
  "/migrate": ["post"],
  "/retention/apply": ["post"],
  "/refresh/aggregate": ["post"],
  "/backfill/{job}": ["post"],
  "/policies": ["get", "put"],
  "/jobs": ["get"],
  "/jobs/{id}": ["get"],
  "/jobs/{id}/cancel": ["post"],
  "/jobs/{id}/retry": ["post"],
  "/tenants": ["get", "post"],
  "/tenants/{tenant}": ["patch", "delete"],
  "/tenants/{tenant}/tokens": ["get", "post"],
  "/tenants/{tenant}/tokens/{id}": ["delete"],
} as const;

let database: TestDatabase;
let plane: ControlPlane;

beforeAll(async () => {
  database = await createTestDatabase();
  plane = await startControlPlane(database);
});

afterAll(async () => {
  await plane.stop();
  await database.drop();
});

describe("DELETE /tenants/{tenant}", () => {
  /** Rows of each of the store's tables that name a tenant, by slug; of data by way of its series. */
  async function contents(): Promise<Record<string, number>> {
    const tables = await database.sql<{ name: string; by: string }>(
      `select c.relname as name, a.attname as by from pg_class c
       join pg_attribute a on a.attrelid = c.oid and a.attname in ('tenant_id', 'series_id') and not a.attisdropped
       where c.relnamespace = 'store'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
         and (a.attname = 'tenant_id' or c.relname ~ '_data$')`,
    );
    const counts: Record<string, number> = {};
    for (const { name, by } of tables) {
      const series = by === "tenant_id" ? "" : `join store.${seriesOf(name)} s using (series_id)`;
      const owner = by === "tenant_id" ? "d.tenant_id" : "s.tenant_id";
      const rows = await database.sql<{ slug: string; count: number }>(
        `select t.slug, count(*)::int4 as count from store.${name} d ${series} join store.tenants t on t.id = ${owner} group by 1`,
      );
      for (const { slug, count } of rows) counts[`${slug}: ${name}`] = count;
    }
    return counts;
  }

  const seriesOf = (table: string): string => `${table.split("_")[0]}_series`;
  const of = (slug: string, counts: Record<string, number>): [string, number][] =>
    Object.entries(counts).filter(([key]) => key.startsWith(`${slug}: `));

  async function fill(slug: string): Promise<void> {
    await plane.control.createTenant({ slug });
    await plane.control.createToken(slug, "feed");
    await using store = await openStore({ url: database.url, tenant: slug });
    const key = { vendor: "v", symbol: "S" };
    await store.bars.upsert(manyBars(6_000));
    await store.options.upsert([
      { ...key, expiry: "2024-06-21", option_type: "C", strike: "10", ts: "2024-01-02T00:00:00Z", bid: 1 },
    ]);
    await store.fundamentals.upsert([{ ...key, asof: "2024-01-02T00:00:00Z", eps: 1 }]);
    await store.news.upsert([{ vendor: "v", published_at: "2024-01-02T00:00:00Z", title: "t", url: "u" }]);
    await store.signals.upsert([{ ...key, name: "n", ts: "2024-01-02T00:00:00Z", value: 1 }]);
    await store.runs.start({ job_name: "j", mode: "live" });
  }

  it("takes everything of it out of every table, and nothing of another's", async () => {
    await fill("acme");
    await fill("other");
    await refresh(database);
    const before = await contents();
    const tables = of("acme", before).map(([key]) => key.replace("acme: ", ""));
    expect(tables).toEqual(
      expect.arrayContaining(["bars_data", "bars_1d_data", "news_data", "job_runs", "ingest_tokens"]),
    );
    const { job_id } = await plane.control.deleteTenant("acme");
    const job = await plane.control.waitForJob(job_id, { timeoutMs: 30_000 });
    expect(job).toMatchObject({ state: "succeeded", result: { slug: "acme", rows: expect.any(Number) } });
    const after = await contents();
    expect(of("acme", after)).toEqual([]);
    expect(of("other", after)).toEqual(of("other", before));
    const lost = await database.sql(
      "select from store.bars_data d where not exists (select from store.bars_series s where s.series_id = d.series_id)",
    );
    expect(lost).toEqual([]);
    expect((await plane.control.tenants()).map(({ slug }) => slug)).toEqual(["default", "other"]);
    await expect(plane.control.deleteTenant("acme")).rejects.toMatchObject({ code: "tenant_unknown", status: 404 });
  });

  it("keeps the default one", async () => {
    const before = await database.sql("select count(*) from pgboss.job where name = 'delete-tenant'");
    const { id } = (await plane.control.tenants()).find(({ slug }) => slug === "default")!;
    for (const named of ["default", id]) {
      await expect(plane.control.deleteTenant(named)).rejects.toMatchObject({ code: "tenant_protected", status: 409 });
    }
    expect(await database.sql("select count(*) from pgboss.job where name = 'delete-tenant'")).toEqual(before);
    expect((await plane.control.tenants()).map(({ slug }) => slug)).toContain("default");
  });
});

describe("/tenants and their tokens", () => {
  it("are made, renamed and listed as the database has them", async () => {
    const made = await plane.control.createTenant({ slug: "fresh", name: "Fresh Ltd" });
    const row = () => database.sql("select slug, name, state from store.tenants where id = $1", [made.id]);
    expect(await row()).toEqual([{ slug: "fresh", name: "Fresh Ltd", state: "active" }]);
    await plane.control.renameTenant("fresh", { slug: "renamed" });
    expect(await row()).toEqual([{ slug: "renamed", name: "Fresh Ltd", state: "active" }]);
    await expect(plane.control.createTenant({ slug: "renamed" })).rejects.toMatchObject({ code: "tenant_exists" });
  });

  it("name their tenant until they are revoked, and only their hash is kept", async () => {
    const { id: tenant } = await plane.control.createTenant({ slug: "fed" });
    const { id, token } = await plane.control.createToken("fed", "feed-1");
    const hash = createHash("sha256").update(token).digest();
    const kept = await database.sql("select token_sha256, name, revoked_at from store.ingest_tokens where id = $1", [
      id,
    ]);
    expect(kept).toEqual([{ token_sha256: hash, name: "feed-1", revoked_at: null }]);
    const scope = adminScope(database);
    try {
      expect(await findTokenTenant(scope, token)).toBe(tenant);
      expect(await plane.control.tokens("fed")).toMatchObject([{ id, name: "feed-1", revoked_at: null }]);
      expect(JSON.stringify(await plane.control.tokens("fed"))).not.toContain(token);
      await plane.control.revokeToken("fed", id);
      expect(await findTokenTenant(scope, token)).toBeUndefined();
    } finally {
      await scope.close();
    }
    expect(await plane.control.tokens("fed")).toMatchObject([{ id, revoked_at: expect.any(String) }]);
    expect(plane.output.stdout + plane.output.stderr).not.toContain(token);
  });
});

describe("names that are none", () => {
  it("R33 an unknown job is answered 404 with the known ones, and none is made", async () => {
    const known = ["ingest-files", "rebuild-aggregates", "verify-coverage"];
    for (const name of ["anything", "retention", "delete-tenant", "INGEST-FILES", "..%2Fmigrate"]) {
      const answer = await plane.send("POST", `/backfill/${name}`, { body: {} });
      expect([answer.status, answer.headers.get("content-type")]).toEqual([
        404,
        "application/problem+json; charset=utf-8",
      ]);
      expect(await answer.json()).toMatchObject({ code: "job_unknown", details: { known } });
    }
    expect(await database.sql("select from pgboss.job where name !~ '^[a-z]+(-[a-z]+)*$'")).toEqual([]);
  });

  it("R33 no token but the operator's opens an admin route", async () => {
    for (const token of ["", "admin", "changeme", "undefined", "correct-horse-battery-stapl"]) {
      const headers = { authorization: `Bearer ${token}` };
      const answer = await fetch(`${plane.url}/migrate`, { method: "POST", headers });
      expect([answer.status, token]).toEqual([401, token]);
    }
  });
});

describe("Idempotency-Key", () => {
  it("R32 makes one job of 100 identical requests at once, and refuses another body", async () => {
    const body = { datasets: ["news"], dry_run: true };
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => plane.send("POST", "/retention/apply", { body, key: "nightly" })),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    const ids = new Set(
      (await Promise.all(answers.map((answer) => answer.json()))).map((one) => (one as { job_id: string }).job_id),
    );
    expect(ids.size).toBe(1);
    const [id] = [...ids] as [string];
    const made = await database.sql(
      `select id from pgboss.job where name = 'retention' and data->'input'->'datasets' = '["news"]'`,
    );
    expect(made).toEqual([{ id }]);
    expect(await plane.control.waitForJob(id)).toMatchObject({ state: "succeeded", attempts: 1 });
    const runs = "select from store.job_runs where metadata->>'job_id' = $1";
    expect(await database.sql(runs, [id])).toHaveLength(1);
    const other = await plane.send("POST", "/retention/apply", { body: { ...body, dry_run: false }, key: "nightly" });
    expect([other.status, await other.json()]).toEqual([
      422,
      expect.objectContaining({ code: "idempotency_key_reused" }),
    ]);
    expect(
      await database.sql(`select from pgboss.job where name = 'retention' and data->'input'->'datasets' is not null`),
    ).toHaveLength(1);
  });
});

describe("/openapi.json", () => {
  it("lists every admin route, who may call it, and where a job is followed", async () => {
    const document = (await (await fetch(`${plane.url}/openapi.json`)).json()) as {
      openapi: string;
      paths: Record<string, Record<string, { security?: object[]; responses: Record<string, { headers?: object }> }>>;
    };
    expect(document.openapi).toMatch(/^3\.1\./);
    for (const [path, methods] of Object.entries(ADMIN_ROUTES)) {
      for (const method of methods) {
        const operation = document.paths[path]?.[method];
        expect(operation?.security, `${method} ${path}`).toEqual([expect.any(Object)]);
        const accepted = operation?.responses["202"];
        if (accepted !== undefined) expect(accepted.headers, path).toHaveProperty("Location");
      }
    }
    expect((await fetch(`${plane.url}/docs`)).status).toBe(200);
  });
});
