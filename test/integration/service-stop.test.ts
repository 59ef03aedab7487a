/** How the service stops, as a process of its own: signals, requests under way, faults, and its time. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, it, onTestFinished, vi } from "vitest";

interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly url?: string;
  readonly ready?: boolean;
}

class ServiceProcess {
  readonly child: ChildProcess;
  readonly lines: LogLine[] = [];
  readonly ended: Promise<[code: number | null, signal: string | null]>;
  errorText = "";

  constructor(overrides: object = {}) {
    const file = join(import.meta.dirname, "../support/service-process.ts");
    this.child = fork(file, [JSON.stringify(overrides)], { stdio: ["ignore", "pipe", "pipe", "ipc"] });
    this.ended = once(this.child, "close") as ServiceProcess["ended"];
    createInterface({ input: this.child.stdout! }).on("line", (line) => void this.lines.push(JSON.parse(line)));
    this.child.stderr!.on("data", (chunk) => {
      this.errorText += String(chunk);
    });
    onTestFinished(async () => {
      this.child.kill("SIGKILL");
      await this.ended;
    });
  }

  async ready(): Promise<string> {
    await this.logged("ready");
    return this.lines.find(({ url }) => url !== undefined)?.url ?? expect.unreachable("no url was logged");
  }

  async logged(text: string): Promise<void> {
    const matches = ({ msg, ready }: LogLine) => msg.includes(text) && ready !== false;
    await vi.waitFor(() => expect(this.lines.some(matches)).toBe(true), { timeout: 15_000, interval: 10 });
  }
}

function send(url: string, agent?: Agent): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent }, (answer) => {
      let body = "";
      answer.on("data", (chunk) => {
        body += String(chunk);
      });
      answer.on("end", () => resolve({ status: answer.statusCode, body }));
      answer.on("error", reject);
    });
    sent.on("error", reject).end();
  });
}

function keepAlive(): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  return agent;
}

describe("a service that is told to stop", () => {
  it.each(["SIGTERM", "SIGINT"] as const)("exits 0 after %s, with idle connections open", async (signal) => {
    const service = new ServiceProcess();
    const url = await service.ready();
    await send(`${url}/health`, keepAlive());
    service.child.kill(signal);
    expect(await service.ended).toEqual([0, null]);
    expect(service.lines.at(-1)?.msg).toBe("Stopped.");
  });

  it("finishes what was asked, refuses what is new, and is not ready meanwhile", async () => {
    // With this much time the test ends only because nothing is left to wait for, such as a connection fallen idle.
    const service = new ServiceProcess({ shutdownTimeoutMs: 600_000 });
    const url = await service.ready();
    const [lone, busy, open] = [keepAlive(), keepAlive(), keepAlive()];
    for (const agent of [lone, busy, open]) await send(`${url}/health`, agent);
    service.child.send("hold");
    const underWay = [send(`${url}/schema/version`, lone), send(`${url}/schema/version`, busy)];
    // Its turn comes when the one before has been answered, on the same connection.
    const next = send(`${url}/readyz`, busy);
    await send(`${url}/livez`, open);
    service.child.kill("SIGTERM");
    await service.logged("Stopping");
    // One that comes in the moment of closing is reset.
    const refused = () =>
      send(`${url}/health`).then(
        () => "answered",
        (error: NodeJS.ErrnoException) => error.code,
      );
    await expect.poll(refused).toBe("ECONNREFUSED");
    service.child.send("release");
    for (const { status } of await Promise.all(underWay)) expect(status).toBe(200);
    await next.then(
      ({ status, body }) => expect([status, body]).toEqual([503, expect.stringContaining('"reason":"stopping"')]),
      (error: { code?: string }) => expect(["ECONNREFUSED", "ECONNRESET"]).toContain(error.code),
    );
    expect(await service.ended).toEqual([0, null]);
  });

  it("exits 0 within its time although a request and the database do not end", async () => {
    const service = new ServiceProcess({ shutdownTimeoutMs: 1_000 });
    const url = await service.ready();
    service.child.send("hold");
    const underWay = send(`${url}/schema/version`);
    const cut = expect(underWay).rejects.toMatchObject({ code: "ECONNRESET" });
    await send(`${url}/livez`);
    service.child.send("hang");
    await send(`${url}/livez`);
    service.child.kill("SIGTERM");
    expect(await service.ended).toEqual([0, null]);
    await cut;
    expect(service.lines.map(({ msg }) => msg)).toContain("The database did not end well.");
  });

  it("ends at once at a second signal, but not at one that comes with the first, as under npm", async () => {
    const service = new ServiceProcess({ shutdownTimeoutMs: 600_000 });
    const url = await service.ready();
    service.child.send("hang");
    await send(`${url}/livez`);
    service.child.kill("SIGTERM");
    await service.logged("Stopping");
    const startedAt = performance.now();
    const again = setInterval(() => service.child.kill("SIGINT"), 50);
    expect(await service.ended).toEqual([130, null]);
    clearInterval(again);
    expect(performance.now() - startedAt).toBeGreaterThan(400);
  });
});

describe("a service with a fault that nobody caught", () => {
  it.each(["throw", "reject"])("logs it, stops and exits 1 (%s)", async (command) => {
    const service = new ServiceProcess();
    await service.ready();
    service.child.send(command);
    expect(await service.ended).toEqual([1, null]);
    expect(service.lines.find(({ level }) => level === "fatal")).toMatchObject({ err: { type: "TypeError" } });
    expect(service.lines.at(-1)?.msg).toBe("Stopped.");
    expect(JSON.stringify(service.lines)).not.toContain("hunter2");
  });
});

describe("a service whose port is taken", () => {
  it("says one sentence and exits 1", async () => {
    const first = new ServiceProcess();
    const port = Number(new URL(await first.ready()).port);
    const second = new ServiceProcess({ port });
    expect(await second.ended).toEqual([1, null]);
    expect(second.errorText).toBe(
      `Port ${port} on 127.0.0.1 is in use by another process; stop that one or set PORT to another port.\n`,
    );
    expect(second.lines).toEqual([]);
  });
});
