/** A throw-away cluster leaves nothing behind, however the process that started it ends. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { Client } from "pg";
import { describe, expect, it } from "vitest";
import type { OwnerReport } from "../support/embedded-owner.ts";
import { startThrowawayCluster } from "../support/throwaway-cluster.ts";

const OWNER = join(import.meta.dirname, "../support/embedded-owner.ts");

const folderOf = (url: string): string => dirname(new URL(url).searchParams.get("host") ?? "");

async function pidOf(adminUrl: string): Promise<number> {
  const client = new Client({ connectionString: adminUrl });
  await client.connect();
  const { rows } = await client.query<{ pid: number }>(
    "select split_part(pg_read_file('postmaster.pid'), chr(10), 1)::int as pid",
  );
  await client.end();
  return rows[0]?.pid ?? -1;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function untilGone(pid: number, folder: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while ((isAlive(pid) || existsSync(folder)) && performance.now() < deadline) await wait(5);
}

describe("startThrowawayCluster", () => {
  it("gives an empty database and removes everything when stopped", async () => {
    const cluster = await startThrowawayCluster();
    const { adminUrl } = cluster;
    const pid = await pidOf(adminUrl);
    const folder = folderOf(adminUrl);
    expect([isAlive(pid), existsSync(folder)]).toEqual([true, true]);
    await cluster.stop();
    await cluster.stop();
    expect([isAlive(pid), existsSync(folder)]).toEqual([false, false]);
  });

  it.each(["SIGINT", "SIGTERM", "SIGKILL"] as const)("removes everything when its process gets %s", async (signal) => {
    const child = fork(OWNER, ["throwaway"], { execArgv: [], stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const [report] = (await once(child, "message")) as [OwnerReport];
    if (report.state !== "open") throw new Error(report.message);
    const pid = await pidOf(report.adminUrl);
    const folder = folderOf(report.adminUrl);
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
    await untilGone(pid, folder);
    expect([isAlive(pid), existsSync(folder)]).toEqual([false, false]);
  });
});
