/** `mds jobs list|show|enqueue|cancel|retry` on a database without a service. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import type { Job } from "../../src/contracts/job.ts";
import { startControlPlane } from "../support/control-plane.ts";
import { type CommandResult, mds, scratchFolder, startMds } from "../support/mds-command.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  database = await createTestDatabase();
  scratch = await scratchFolder();
});

afterAll(async () => {
  await database.drop();
  await scratch.remove();
});

const env = () => ({ MDS_DSN: database.url, ADMIN_DATABASE_URL: database.adminUrl });
const jobs = (...args: string[]): Promise<CommandResult> => mds(["jobs", ...args], { env: env(), cwd: scratch.path });
const jobOf = ({ stdout }: CommandResult): Job => JSON.parse(stdout) as Job;

describe("mds jobs", () => {
  it("has an empty queue before anybody asked for a job", async () => {
    expect(await jobs("list")).toMatchObject({ code: 0, stdout: "", stderr: "No jobs match.\n" });
    expect(await jobs("show", crypto.randomUUID())).toMatchObject({ code: 1, stdout: "" });
  });

  it("accepts a job, shows it, cancels it, and tries it again", async () => {
    const accepted = await jobs("enqueue", "prune-runs", "--input", '{"days":30}');
    expect(accepted).toMatchObject({ code: 0, stderr: expect.stringContaining("With --wait it is run here.") });
    const id = accepted.stdout.trim();
    expect(jobOf(await jobs("show", id, "--json"))).toMatchObject({ id, state: "queued", input: { days: 30 } });
    expect((await jobs("show", id)).stdout).toMatch(
      /^id +\S+\nname +prune-runs\nstate +queued\ninput +\{"days":30\}\n/,
    );
    expect(await jobs("cancel", id)).toMatchObject({ code: 0, stdout: `The job ${id} is cancelled.\n` });
    expect(await jobs("cancel", id)).toMatchObject({ code: 1, stderr: expect.stringContaining("(job_finished)") });
    expect(await jobs("retry", id)).toMatchObject({ code: 0, stdout: `The job ${id} is queued.\n` });
    const list = await jobs("list", "--state", "queued");
    expect(list.stdout).toMatch(/^created_at +name +state .*\n20\S+Z +prune-runs +queued +0 /);
  });

  it("runs the job itself with --wait, with those that waited before it", async () => {
    const path = join(scratch.path, "input.json");
    await writeFile(path, '{"days": 7}');
    const done = await jobs("enqueue", "prune-runs", "--input", `@${path}`, "--wait", "--json");
    expect(done).toMatchObject({ code: 0, stderr: expect.stringContaining("so prune-runs is run here.") });
    expect(jobOf(done)).toMatchObject({ state: "succeeded", input: { days: 7 }, result: { runs: 0 }, attempts: 1 });
    const states = JSON.parse((await jobs("list", "--json")).stdout) as Job[];
    expect(states.map(({ state }) => state)).toEqual(["succeeded", "succeeded"]);
    const runs = await jobs("runs", "--system", "--json");
    expect(JSON.parse(runs.stdout)).toMatchObject([{ job_name: "prune-runs", status: "succeeded" }, {}]);
  });

  it("ends with 1 when the job fails", async () => {
    await database.sql("alter function mds.prune_job_progress() rename to prune_no_progress");
    const { code, stdout } = await jobs("enqueue", "prune-runs", "--wait", "--json");
    await database.sql("alter function mds.prune_no_progress() rename to prune_job_progress");
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ state: "failed", error: { code: "migration_pending" } });
  }, 60_000);

  it("leaves the job in the queue when it is interrupted", async () => {
    // Somebody else's transaction keeps the job's from going on.
    await database.sql("begin");
    await database.sql("lock table store.tenants in access exclusive mode");
    const running = startMds(["jobs", "enqueue", "prune-runs", "--wait"], { env: env(), cwd: scratch.path });
    await expect.poll(() => running.output.stderr, { timeout: 10_000 }).toContain("is run here");
    running.child.kill("SIGINT");
    const { code, stdout, stderr } = await running.done;
    await database.sql("rollback");
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
    const [, id] = /The job (\S+) goes on from its last checkpoint when a service runs/.exec(stderr)!;
    expect(["queued", "retrying"]).toContain(jobOf(await jobs("show", id!, "--json")).state);
  }, 30_000);
});

describe("mds jobs enqueue --wait beside a service", () => {
  it("says that the service was killed, waits for the next one, and ends as the job does", async () => {
    const first = await startControlPlane(database);
    await database.sql("begin");
    await database.sql("lock table store.tenants in access exclusive mode");
    const waiting = startMds(["jobs", "enqueue", "prune-runs", "--wait", "--json"], { env: env(), cwd: scratch.path });
    const running = () => first.control.jobs({ name: "prune-runs", state: "running" });
    await vi.waitFor(async () => expect(await running()).toHaveLength(1), { timeout: 20_000 });
    const [{ id }] = (await running()) as [Job];
    await first.kill();
    await database.sql("rollback");
    await expect
      .poll(() => waiting.output.stderr, { timeout: 30_000 })
      .toBe("The service is gone; the job goes on when one runs again.\n");
    // As though the time had passed after which a silent runner is taken for dead.
    const age = "update pgboss.job set heartbeat_on = heartbeat_on - interval '1 hour', retry_delay = 0 where id = $1";
    await database.sql(age, [id]);
    const second = await startControlPlane(database);
    onTestFinished(() => second.stop());
    const done = await waiting.done;
    expect(done.code).toBe(0);
    expect(jobOf(done)).toMatchObject({ id, state: "succeeded", attempts: 2 });
  }, 90_000);
});

describe("wrong usage", () => {
  it.each([
    [["enqueue", "nothing"], /There is no job "nothing"; there are .*prune-runs/],
    [["enqueue", "prune-runs", "--input", '{"days":0}'], /The input of the job prune-runs is not valid: days: /],
    [["enqueue", "prune-runs", "--input", "{days:1}"], /--input is no JSON/],
    [["enqueue", "prune-runs", "--input", "@nowhere.json"], /--input names a file that cannot be read/],
    [["enqueue"], /Missing required argument 'name'/],
    [["list", "--state", "done"], /Allowed choices are queued, running/],
  ])("%j ends with 2", async (args, message) => {
    const { code, stdout, stderr } = await jobs(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(message);
  });

  it.each(["list", "show", "enqueue", "cancel", "retry"])("the help of %s has an example", async (verb) => {
    const { code, stdout } = await jobs(verb, "--help");
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`Examples:\\n.*mds jobs ${verb}`));
  });
});
