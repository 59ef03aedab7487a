/** The admin API over real HTTP on a real database, with a job queue in memory: every route, and what each refuses. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { acceptedJob, job } from "../../src/contracts/job.ts";
import { acceptedJobs } from "../../src/control/requests.ts";
import { defineJob } from "../../src/jobs/define-job.ts";
import { ADMIN_TOKEN, type AdminService, startAdminService } from "../support/admin-service.ts";
import { becomes, startRunner } from "../support/jobs.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

const NO_JOB = "00000000-0000-4000-8000-000000000001";

let database: TestDatabase;
let service: AdminService;

beforeAll(async () => {
  database = await createTestDatabase();
});

beforeEach(async () => {
  service = await startAdminService(database);
});

afterEach(async () => {
  await service.stop();
});

afterAll(async () => {
  await database.drop();
});

const send: AdminService["send"] = (...args) => service.send(...args);

async function expectProblem(answer: Response, status: number, code: string): Promise<Record<string, unknown>> {
  const problem = (await answer.json()) as Record<string, unknown>;
  expect({ status: answer.status, code: problem["code"] }).toEqual({ status, code });
  expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
  return problem;
}

async function makeJob(): Promise<string> {
  return acceptedJob.parse(await (await send("POST", "/migrate")).json()).job_id;
}

it.each([
  ["POST", "/migrate?dry_run=true"],
  ["POST", "/retention/apply?dry_run=true"],
  ["DELETE", "/tenants/default?dry_run=true"],
  ["GET", "/tenants?limit=5"],
  ["GET", "/readyz?fro=ingest"],
] as const)("%s %s is refused for the query that it does not know, and does nothing", async (method, path) => {
  const { detail } = await expectProblem(await send(method, path), 400, "request_invalid");
  expect(detail).toMatch(/^This route's query has no field "\w+"; it has (none|for)\.$/);
  expect(await (await send("GET", "/jobs")).json()).toEqual({ jobs: [] });
});

describe("routes that make a job", () => {
  const FILES = { dataset: "bars", files: ["/data/a.csv"] };
  const WINDOW = { timeframe: "1m", start: "2024-01-01T00:00:00Z", end: "2024-02-01T00:00:00Z" };

  it.each([
    ["/migrate", undefined, "migrate", {}],
    ["/migrate", {}, "migrate", {}],
    ["/refresh/aggregate", undefined, "refresh-aggregates", { dataset: "bars" }],
    [
      "/refresh/aggregate",
      { dataset: "bars", aggregates: ["1h"], start: WINDOW.start, end: WINDOW.end },
      "refresh-aggregates",
      { dataset: "bars", aggregates: ["1h"], start: WINDOW.start, end: WINDOW.end },
    ],
    ["/backfill/ingest-files", FILES, "ingest-files", { ...FILES, tenant: "default", upper_case: false }],
    ["/backfill/rebuild-aggregates", undefined, "rebuild-aggregates", { dataset: "bars" }],
    [
      "/backfill/verify-coverage",
      WINDOW,
      "verify-coverage",
      { ...WINDOW, tenant: "default", calendar: { kind: "always", timezone: "UTC" } },
    ],
    ["/backfill/own-backfill", { days: 3 }, "own-backfill", { days: 3 }],
  ])("R32 POST %s with %j makes one", async (path, body, name, input) => {
    const answer = await send("POST", path, { body });
    expect(answer.status).toBe(202);
    const { job_id, location } = acceptedJob.parse(await answer.json());
    expect(answer.headers.get("location")).toBe(location);
    const shown = await send("GET", location);
    expect(job.parse(await shown.json())).toMatchObject({ id: job_id, name, input, state: "queued" });
    expect(await service.jobs.list()).toHaveLength(1);
  });

  it("R32 POST /retention/apply makes one that drops and one that compresses, of the same input", async () => {
    const body = { datasets: ["bars"], dry_run: true };
    const answer = await send("POST", "/retention/apply", { body, key: "both" });
    expect(answer.status).toBe(202);
    const both = acceptedJobs.parse(await answer.json());
    expect(both.jobs.map(({ name }) => name)).toEqual(["retention", "compression"]);
    expect([both.job_id, both.location]).toEqual([both.jobs[0]!.job_id, both.jobs[0]!.location]);
    for (const { name, location } of both.jobs) {
      expect(await (await send("GET", location)).json()).toMatchObject({ name, input: body });
    }
    expect(acceptedJobs.parse(await (await send("POST", "/retention/apply", { body, key: "both" })).json())).toEqual(
      both,
    );
    expect(await service.jobs.list()).toHaveLength(2);
  });

  it("R33 an unknown backfill is refused with the known ones, and so is a job that is no backfill", async () => {
    for (const name of ["rm-rf", "migrate"]) {
      const problem = await expectProblem(await send("POST", `/backfill/${name}`, { body: {} }), 404, "job_unknown");
      expect(problem["details"]).toEqual({
        known: ["ingest-files", "own-backfill", "rebuild-aggregates", "verify-coverage"],
      });
    }
    expect(await service.jobs.list()).toEqual([]);
  });

  it.each([
    ["/migrate", { force: true }, ""],
    ["/migrate", [], ""],
    ["/retention/apply", null, ""],
    ["/retention/apply", { dry_run: "yes" }, "dry_run"],
    ["/retention/apply", { datasets: [] }, "datasets"],
    ["/refresh/aggregate", { start: "2024-01-01" }, "start"],
    ["/backfill/ingest-files", { dataset: "bars" }, "files"],
    ["/backfill/ingest-files", undefined, "dataset"],
    ["/backfill/own-backfill", { days: 0 }, "days"],
  ])("POST %s with %j is refused with the field", async (path, body, field) => {
    const problem = await expectProblem(
      await send("POST", path, { body, key: `bad ${path}`.replaceAll(" ", "") }),
      422,
      "body_invalid",
    );
    expect((problem["details"] as { errors: { path: string }[] }).errors[0]!.path).toBe(field);
    expect(await service.jobs.list()).toEqual([]);
    expect(await database.sql("select from store.idempotency_keys where key like 'bad%'")).toEqual([]);
  });

  it("answers 503 while there is no queue", async () => {
    const without = await startAdminService(database, { adminToken: ADMIN_TOKEN, withJobs: false });
    for (const [method, path] of [
      ["POST", "/migrate"],
      ["GET", "/jobs"],
      ["POST", "/backfill/ingest-files"],
      ["DELETE", "/tenants/default"],
    ] as const) {
      await expectProblem(await without.send(method, path), 503, "jobs_unavailable");
    }
    await without.stop();
  });
});

describe("Idempotency-Key", () => {
  it("makes one job of 100 identical requests at once", async () => {
    const body = { dataset: "bars", files: ["/data/a.csv"] };
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => send("POST", "/backfill/ingest-files", { body, key: "hundred" })),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    const ids = await Promise.all(answers.map(async (answer) => acceptedJob.parse(await answer.json()).job_id));
    expect(new Set(ids).size).toBe(1);
    expect((await service.jobs.list()).map(({ id }) => id)).toEqual([ids[0]]);
  });

  it("makes one job of 100 identical requests at once in the real queue, which runs once", async () => {
    let runs = 0;
    const count = defineJob({
      name: "count-runs",
      description: "Counts its runs.",
      schema: z.strictObject({}),
      mode: "backfill",
      run: async () => ({ runs: ++runs }),
    });
    const queue = await startRunner(database, { definitions: [count] });
    const real = await startAdminService(database, { adminToken: ADMIN_TOKEN, queue });
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => real.send("POST", "/backfill/count-runs", { key: "real-hundred" })),
    );
    const ids = await Promise.all(answers.map(async (answer) => acceptedJob.parse(await answer.json()).job_id));
    expect(new Set(ids).size).toBe(1);
    expect((await becomes(queue, ids[0]!, "succeeded")).result).toEqual({ runs: 1 });
    expect((await queue.list()).map(({ id }) => id)).toEqual([ids[0]]);
    const shown = job.parse(await (await real.send("GET", `/jobs/${ids[0]}`)).json());
    expect(shown).toMatchObject({ name: "count-runs", state: "succeeded", attempts: 1 });
    await real.stop();
  });

  it("is refused with another body, and is another key for another route", async () => {
    const first = await send("POST", "/retention/apply", { body: { dry_run: true }, key: "one" });
    expect(first.status).toBe(202);
    await expectProblem(
      await send("POST", "/retention/apply", { body: { dry_run: false }, key: "one" }),
      422,
      "idempotency_key_reused",
    );
    expect((await send("POST", "/migrate", { key: "one" })).status).toBe(202);
    expect((await send("POST", "/backfill/rebuild-aggregates", { key: "one" })).status).toBe(202);
    expect((await service.jobs.list()).length).toBe(4);
  });

  it("does not mind the order of members", async () => {
    const a = await send("POST", "/refresh/aggregate", {
      key: "order",
      headers: { "content-type": "application/json" },
      body: { dataset: "bars", aggregates: ["1h"] },
    });
    const b = await send("POST", "/refresh/aggregate", {
      key: "order",
      body: { aggregates: ["1h"], dataset: "bars" },
    });
    expect(await b.json()).toEqual(await a.json());
  });

  it("is forgotten after 24 hours, and old ones are removed on the way", async () => {
    const idOf = async (answer: Response) => acceptedJob.parse(await answer.json()).job_id;
    const first = await idOf(await send("POST", "/migrate", { key: "day" }));
    await database.sql("update store.idempotency_keys set claimed_at = now() - interval '23 hours 59 minutes'");
    expect(await idOf(await send("POST", "/migrate", { key: "day" }))).toBe(first);
    await database.sql("update store.idempotency_keys set claimed_at = now() - interval '24 hours 1 minute'");
    expect(await idOf(await send("POST", "/migrate", { key: "day" }))).not.toBe(first);
    expect(await database.sql("select key from store.idempotency_keys")).toEqual([{ key: "day" }]);
  });

  it.each([["x".repeat(256)], ["a b"], ["é"]])("is refused when it is %j", async (key) => {
    await expectProblem(await send("POST", "/migrate", { key }), 400, "idempotency_key_invalid");
    expect(await service.jobs.list()).toEqual([]);
  });

  it("heals a crash between the claim and the job", async () => {
    await database.sql(
      `insert into store.idempotency_keys (principal, route, key, body_sha256, job_id)
       values ('admin', 'POST /migrate', 'crashed', sha256('{"body":{}}'), $1)`,
      [NO_JOB],
    );
    const answer = await send("POST", "/migrate", { key: "crashed" });
    expect(await answer.json()).toMatchObject({ job_id: NO_JOB });
    expect(await service.jobs.list()).toMatchObject([{ id: NO_JOB, name: "migrate" }]);
  });
});

describe("/jobs", () => {
  it("lists by name and state, the newest first", async () => {
    const first = await makeJob();
    const second = await makeJob();
    await send("POST", "/refresh/aggregate");
    await service.jobs.end(first, { state: "failed", error: { code: "internal", message: "It broke." } });
    const ids = async (query: string) =>
      ((await (await send("GET", `/jobs${query}`)).json()) as { jobs: { id: string }[] }).jobs.map(({ id }) => id);
    expect(await ids("?name=migrate")).toEqual([second, first]);
    expect(await ids("?name=migrate&state=failed")).toEqual([first]);
    expect(await ids("?limit=1")).toHaveLength(1);
    expect(await ids("")).toHaveLength(3);
  });

  it.each([["?state=lost"], ["?limit=0"], ["?limit=1001"], ["?limit=x"], ["?page=2"]])("refuses %s", async (query) => {
    await expectProblem(await send("GET", `/jobs${query}`), 400, "request_invalid");
  });

  it("cancels one that has not ended, and tries one again that failed or was cancelled", async () => {
    const id = await makeJob();
    await expectProblem(await send("POST", `/jobs/${id}/retry`), 409, "job_not_failed");
    const cancelled = await send("POST", `/jobs/${id}/cancel`);
    expect(cancelled.status).toBe(200);
    expect(job.parse(await cancelled.json())).toMatchObject({ id, state: "cancelled" });
    await expectProblem(await send("POST", `/jobs/${id}/cancel`), 409, "job_finished");
    expect(await (await send("POST", `/jobs/${id}/retry`)).json()).toMatchObject({ id, state: "queued" });
  });

  it("knows no other, and no id that is none", async () => {
    for (const [method, path] of [
      ["GET", ""],
      ["POST", "/cancel"],
      ["POST", "/retry"],
    ] as const) {
      await expectProblem(await send(method, `/jobs/${NO_JOB}${path}`), 404, "job_not_found");
      const wrong = await expectProblem(await send(method, `/jobs/seven${path}`), 400, "request_invalid");
      expect(wrong["detail"]).toMatch(/^The path's field id is not valid: \w[^.]*\.$/);
    }
  });
});

describe("/policies", () => {
  const keptFor = async (): Promise<string | null | undefined> => {
    const { policies } = (await (await send("GET", "/policies")).json()) as {
      policies: { dataset: string; keep_for: string | null }[];
    };
    return policies.find(({ dataset }) => dataset === "news")?.keep_for;
  };

  it("shows them, tells what would change, changes it, and then nothing", async () => {
    const before = await keptFor();
    const body = { news: { keep_for: "12345 days" } };
    const change = { dataset: "news", field: "keep_for", before, after: "12345 days" };
    const dry = await send("PUT", "/policies?dry_run=true", { body });
    expect([dry.status, await dry.json()]).toEqual([200, { changes: [change] }]);
    expect(await keptFor()).toBe(before);
    expect(await (await send("PUT", "/policies", { body })).json()).toEqual({ changes: [change] });
    expect(await keptFor()).toBe("12345 days");
    expect(await (await send("PUT", "/policies", { body })).json()).toEqual({ changes: [] });
  });

  it("refuses what is none", async () => {
    const soon = await send("PUT", "/policies", { body: { news: { keep_for: "soon" } } });
    expect((await expectProblem(soon, 422, "body_invalid"))["detail"]).toMatch(
      /^The body's field news\.keep_for .*"P90D"\.$/,
    );
    await expectProblem(
      await send("PUT", "/policies", { body: { gossip: { keep_for: null } } }),
      422,
      "policy_refused",
    );
    const maybe = await expectProblem(
      await send("PUT", "/policies?dry_run=maybe", { body: {} }),
      400,
      "request_invalid",
    );
    expect(maybe["detail"]).toMatch(/^The query's field dry_run /);
  });
});

describe("/tenants", () => {
  it("makes, lists and renames them", async () => {
    const made = await send("POST", "/tenants", { body: { slug: "acme" } });
    expect(made.status).toBe(201);
    const tenant = (await made.json()) as { id: string };
    expect(tenant).toMatchObject({ slug: "acme", name: "acme", state: "active" });
    await expectProblem(await send("POST", "/tenants", { body: { slug: "acme" } }), 409, "tenant_exists");
    const renamed = await send("PATCH", "/tenants/acme", { body: { slug: "acme-2", name: "Acme" } });
    expect(await renamed.json()).toEqual({ ...tenant, slug: "acme-2", name: "Acme" });
    expect(await (await send("PATCH", `/tenants/${tenant.id}`, { body: { name: "Acme Ltd" } })).json()).toMatchObject({
      slug: "acme-2",
      name: "Acme Ltd",
    });
    await expectProblem(await send("PATCH", "/tenants/acme-2", { body: { slug: "default" } }), 409, "tenant_exists");
    expect(await (await send("GET", "/tenants")).json()).toMatchObject({
      tenants: [{ slug: "acme-2" }, { slug: "default" }],
    });
  });

  it.each([
    ["POST", "/tenants", { slug: "No Slug" }],
    ["POST", "/tenants", { slug: "ok", name: "a\u0007b" }],
    ["POST", "/tenants", {}],
    ["POST", "/tenants", undefined],
    ["PATCH", "/tenants/default", {}],
    ["POST", "/tenants/default/tokens", { name: "" }],
    ["POST", "/tenants/default/tokens", undefined],
  ])("%s %s refuses %j", async (method, path, body) => {
    await expectProblem(await send(method, path, { body }), 422, "body_invalid");
  });

  it("deletes one by a job that has its id, also when its slug is another's by then", async () => {
    const { id } = (await (await send("POST", "/tenants", { body: { slug: "gone" } })).json()) as { id: string };
    const answer = await send("DELETE", "/tenants/gone", { key: "gone" });
    expect(answer.status).toBe(202);
    const accepted = acceptedJob.parse(await answer.json());
    expect(answer.headers.get("location")).toBe(accepted.location);
    expect(await service.jobs.list()).toMatchObject([{ name: "delete-tenant", input: { tenant: id } }]);
    await database.sql("delete from store.tenants where id = $1", [id]);
    expect(await (await send("DELETE", "/tenants/gone", { key: "gone" })).json()).toEqual(accepted);
    await expectProblem(await send("DELETE", "/tenants/gone"), 404, "tenant_unknown");
    expect(await service.jobs.list()).toHaveLength(1);
  });

  it("knows no other", async () => {
    await expectProblem(await send("PATCH", "/tenants/nobody", { body: { name: "x" } }), 404, "tenant_unknown");
    await expectProblem(await send("GET", "/tenants/nobody/tokens"), 404, "tenant_unknown");
    await expectProblem(await send("POST", "/tenants/nobody/tokens", { body: { name: "x" } }), 404, "tenant_unknown");
  });
});

describe("/tenants/{tenant}/tokens", () => {
  it("makes, lists and revokes them, and tells a secret once", async () => {
    const made = await send("POST", "/tenants/default/tokens", { body: { name: "feed" } });
    expect([made.status, made.headers.get("cache-control")]).toEqual([201, "no-store"]);
    const { token, ...record } = (await made.json()) as { token: string; id: string };
    expect(token).toMatch(/^mds_[\w-]{43}$/);
    const list = await send("GET", "/tenants/default/tokens");
    expect(await list.json()).toEqual({ tokens: [record] });
    const other = ((await (await send("POST", "/tenants", { body: { slug: "other" } })).json()) as { id: string }).id;
    await expectProblem(await send("DELETE", `/tenants/other/tokens/${record.id}`), 404, "token_unknown");
    await expectProblem(await send("DELETE", `/tenants/${other}/tokens/${record.id}`), 404, "token_unknown");
    for (let times = 0; times < 2; times++) {
      const revoked = await send("DELETE", `/tenants/default/tokens/${record.id}`);
      expect([revoked.status, await revoked.text()]).toEqual([204, ""]);
    }
    const { tokens } = (await (await send("GET", "/tenants/default/tokens")).json()) as {
      tokens: { revoked_at: string | null }[];
    };
    expect(tokens).toMatchObject([{ id: record.id, revoked_at: expect.stringMatching(/Z$/) }]);
    const [row] = await database.sql<{ text: string }>("select i::text as text from store.ingest_tokens i");
    expect(row!.text).not.toContain(token.slice(4, 20));
    expect(service.lines.join("")).not.toContain(token.slice(4));
  });
});
