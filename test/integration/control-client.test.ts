/** The typed client against the real routes: every method, what it does with failures, and when it tries again. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type ControlClient, createControlClient } from "../../src/control/control-client.ts";
import { ADMIN_TOKEN, type AdminService, startAdminService } from "../support/admin-service.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let service: AdminService;
let client: ControlClient;

beforeAll(async () => {
  database = await createTestDatabase();
});

beforeEach(async () => {
  service = await startAdminService(database);
  client = createControlClient({ baseUrl: service.url, token: ADMIN_TOKEN });
});

afterEach(async () => {
  await service.stop();
});

afterAll(async () => {
  await database.drop();
});

/** A client whose first attempts fail as told, each after the request has reached the service or before. */
function failingClient(faults: readonly ((send: () => Promise<Response>) => Promise<Response>)[]) {
  const left = [...faults];
  const sent: Request[] = [];
  const failing: typeof fetch = (url, init) => {
    sent.push(new Request(url as URL, init));
    const fault = left.shift();
    return fault === undefined ? fetch(url, init) : fault(() => fetch(url, init));
  };
  return { client: createControlClient({ baseUrl: service.url, token: ADMIN_TOKEN, fetch: failing }), sent };
}

const refused = () => Promise.reject(new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") }));
const lostAnswer = async (send: () => Promise<Response>) => {
  await (await send()).arrayBuffer();
  return refused();
};

describe("createControlClient", () => {
  it("asks how the store is, without a token", async () => {
    const open = createControlClient({ baseUrl: `${service.url}/` });
    expect(await open.health()).toMatchObject({ service: "market-data-store", version: expect.any(String) });
    await expect.poll(() => open.ready(), { timeout: 10_000 }).toBe(true);
    expect(await open.schemaVersion()).toMatchObject({ pending: 0, checksum_ok: true });
    await expect(open.jobs()).rejects.toMatchObject({ code: "usage" });
  });

  it("makes jobs and follows them to their ends", async () => {
    const { job_id } = await client.migrate();
    expect((await client.applyRetention({ dry_run: true })).jobs.map(({ name }) => name)).toEqual([
      "retention",
      "compression",
    ]);
    await client.refreshAggregates({ aggregates: ["1h"] });
    await client.refreshAggregates();
    await client.backfill("ingest-files", { dataset: "bars", files: ["a.csv"] });
    await client.backfill("own-backfill", { days: 1 });
    expect((await client.jobs({ limit: 2 })).map(({ name }) => name)).toEqual(["own-backfill", "ingest-files"]);
    expect(await client.jobs({ name: "refresh-aggregates", state: "queued" })).toHaveLength(2);
    expect(await client.job(job_id)).toMatchObject({ name: "migrate", state: "queued" });

    const waiting = client.waitForJob(job_id);
    await service.jobs.end(job_id, { state: "succeeded", result: { applied: 3 } });
    expect(await waiting).toMatchObject({ state: "succeeded", result: { applied: 3 } });

    const other = await client.migrate();
    expect(await client.cancelJob(other.job_id)).toMatchObject({ state: "cancelled" });
    expect(await client.waitForJob(other.job_id)).toMatchObject({ state: "cancelled" });
    expect(await client.retryJob(other.job_id)).toMatchObject({ state: "queued" });
  });

  it("waits no longer than it is told to", async () => {
    const { job_id } = await client.migrate();
    await expect(client.waitForJob(job_id, { timeoutMs: 20 })).rejects.toMatchObject({ code: "deadline_exceeded" });
    const giving = new AbortController();
    const waiting = client.waitForJob(job_id, { signal: giving.signal });
    giving.abort();
    await expect(waiting).rejects.toMatchObject({ code: "aborted" });
    await expect(client.waitForJob("00000000-0000-4000-8000-000000000001")).rejects.toMatchObject({
      code: "job_not_found",
    });
  });

  it("shows and changes policies", async () => {
    const wanted = { news: { keep_for: "4500 days" } };
    const [planned] = await client.applyPolicies(wanted, { dryRun: true });
    expect(planned).toMatchObject({ dataset: "news", field: "keep_for", after: "4500 days" });
    expect(await client.applyPolicies(wanted)).toEqual([planned]);
    expect((await client.policies()).find(({ dataset }) => dataset === "news")).toMatchObject({
      keep_for: "4500 days",
    });
  });

  it("keeps tenants and their tokens", async () => {
    const acme = await client.createTenant({ slug: "acme", name: "Acme" });
    expect(await client.renameTenant("acme", { slug: "acme-2" })).toEqual({ ...acme, slug: "acme-2" });
    expect((await client.tenants()).map(({ slug }) => slug)).toEqual(["acme-2", "default"]);
    const { token, ...record } = await client.createToken("acme-2", "feed");
    expect(token).toMatch(/^mds_/);
    expect(await client.tokens(acme.id)).toEqual([record]);
    await client.revokeToken("acme-2", record.id);
    expect((await client.tokens("acme-2"))[0]!.revoked_at).not.toBeNull();
    const { job_id } = await client.deleteTenant("acme-2");
    expect(await client.job(job_id)).toMatchObject({ name: "delete-tenant", input: { tenant: acme.id } });
  });

  it("throws the service's problem as an error with its code and details", async () => {
    await expect(client.backfill("rm-rf", {})).rejects.toMatchObject({
      name: "StoreError",
      code: "job_unknown",
      status: 404,
      details: { known: expect.arrayContaining(["ingest-files"]) },
    });
    await expect(client.refreshAggregates({ start: "yesterday" })).rejects.toMatchObject({
      code: "body_invalid",
      details: { errors: [{ path: "start", message: expect.any(String) }] },
    });
    await expect(client.createTenant({ slug: "default" })).rejects.toMatchObject({ code: "tenant_exists" });
    const stranger = createControlClient({ baseUrl: service.url, token: "somebody-elses-token" });
    await expect(stranger.jobs()).rejects.toMatchObject({ code: "unauthorized", retryable: false });
    const later = { type: "about:blank", title: "x", status: 409, code: "of_a_later_version", detail: "It is new." };
    const { client: newer } = failingClient([
      async () =>
        new Response(JSON.stringify(later), { status: 409, headers: { "content-type": "application/problem+json" } }),
    ]);
    await expect(newer.jobs()).rejects.toMatchObject({
      code: "request_invalid",
      message: "It is new.",
      details: { code: "of_a_later_version", status: 409 },
    });
  });

  it("makes one job although the answer was lost, under the same key", async () => {
    const { client: unlucky, sent } = failingClient([lostAnswer, lostAnswer]);
    const { job_id } = await unlucky.migrate();
    expect((await service.jobs.list()).map(({ id }) => id)).toEqual([job_id]);
    expect(new Set(sent.map(({ headers }) => headers.get("idempotency-key"))).size).toBe(1);
    const next = await unlucky.migrate();
    expect(next.job_id).not.toBe(job_id);
    expect((await unlucky.migrate({ idempotencyKey: "mine" })).job_id).toBe(
      (await client.migrate({ idempotencyKey: "mine" })).job_id,
    );
  });

  it("tries three times, and what must not be repeated once", async () => {
    const { client: unlucky, sent } = failingClient([refused, refused, refused]);
    await expect(unlucky.jobs()).rejects.toMatchObject({
      code: "service_unreachable",
      message: expect.stringContaining("ECONNREFUSED"),
    });
    expect(sent).toHaveLength(3);
    const { client: once, sent: tried } = failingClient([lostAnswer]);
    await expect(once.createTenant({ slug: "once" })).rejects.toMatchObject({ code: "service_unreachable" });
    expect(tried).toHaveLength(1);
    expect((await client.tenants()).map(({ slug }) => slug)).toContain("once");
  });

  it("ends an attempt that takes too long, and a call that is given up", async () => {
    const never: typeof fetch = (_, init) =>
      new Promise((_resolve, reject) => {
        init!.signal!.addEventListener("abort", () => reject(init!.signal!.reason as Error));
      });
    const slow = createControlClient({ baseUrl: service.url, token: ADMIN_TOKEN, fetch: never, timeoutMs: 20 });
    await expect(slow.cancelJob("00000000-0000-4000-8000-000000000001")).rejects.toMatchObject({
      code: "deadline_exceeded",
    });
    const giving = new AbortController();
    const patient = createControlClient({ baseUrl: service.url, token: ADMIN_TOKEN, fetch: never });
    const given = patient.jobs({}, { signal: giving.signal });
    giving.abort();
    await expect(given).rejects.toMatchObject({ code: "aborted" });
  });

  it.each([["not a url"], ["ftp://store"], ["http://user:hunter2@store:8082"]])(
    "refuses the base URL %s",
    (baseUrl) => {
      expect(() => createControlClient({ baseUrl })).toThrow(
        expect.objectContaining({ code: "usage", message: expect.not.stringContaining("hunter2") }),
      );
    },
  );

  it("says that something else answers, and follows no redirect with the token", async () => {
    for (const answer of [
      new Response("<html>"),
      new Response("[]"),
      Response.redirect("http://127.0.0.1:1/elsewhere"),
    ]) {
      const { client: lost } = failingClient(Array(3).fill(async () => answer.clone()));
      await expect(lost.jobs()).rejects.toMatchObject({ code: "service_unreachable" });
    }
    const { client: asking, sent } = failingClient([]);
    await asking.jobs();
    expect(sent[0]!.redirect).toBe("error");
  });
});
