import { describe, expect, it } from "vitest";
import { StoreError } from "../../errors/store-error.ts";
import type { RunningServer, ServerExit } from "./server.ts";
import { MAX_FAILED_RESTARTS, Supervisor } from "./supervisor.ts";

const killed: ServerExit = { code: null, signal: "SIGKILL" };

/** A server without a process: ends when told to. */
function fakeServer(): RunningServer & { end(exit: ServerExit): void } {
  const { promise, resolve } = Promise.withResolvers<ServerExit>();
  return {
    pid: 1,
    exited: promise,
    end: resolve,
    stop: async () => resolve({ code: 0, signal: null }),
    signalStop: () => undefined,
  };
}

function supervise(start: () => Promise<RunningServer>) {
  const logged: string[] = [];
  const lost: StoreError[] = [];
  const pauses: number[] = [];
  const clock = { nowMs: 0 };
  const note = (_details: object, message: string): void => void logged.push(message);
  const supervisor = new Supervisor({
    start,
    log: { info: note, warn: note, error: note },
    onLost: (error) => lost.push(error),
    now: () => clock.nowMs,
    pause: async (delayMs) => pauses.push(delayMs),
  });
  return { supervisor, logged, lost, pauses, clock };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("Supervisor", () => {
  it("gives a server up after a bounded number of failed starts in a row, and says so once", async () => {
    const first = fakeServer();
    let starts = 0;
    const { supervisor, logged, lost, pauses } = supervise(async () => {
      starts += 1;
      if (starts === 1) return first;
      throw new StoreError("embedded_failed", "the disk is full");
    });
    await supervisor.start(new AbortController().signal);
    first.end(killed);
    await settled();
    expect(starts).toBe(1 + MAX_FAILED_RESTARTS);
    expect(pauses.slice(0, 3)).toEqual([100, 200, 400]);
    expect(Math.max(...pauses)).toBe(5_000);
    expect(lost.map((error) => error.message)).toEqual([expect.stringContaining("the disk is full")]);
    expect(logged).toHaveLength(2);
    await supervisor.stop();
  });

  it("counts a server that ends soon after its start as failed, and forgets that once one has lasted", async () => {
    const servers: ReturnType<typeof fakeServer>[] = [];
    const { supervisor, lost, clock } = supervise(async () => {
      const server = fakeServer();
      servers.push(server);
      return server;
    });
    await supervisor.start(new AbortController().signal);
    for (let round = 1; round < MAX_FAILED_RESTARTS; round += 1) {
      servers.at(-1)?.end(killed);
      await settled();
    }
    clock.nowMs += 60_000;
    for (let round = 0; round < MAX_FAILED_RESTARTS; round += 1) {
      servers.at(-1)?.end(killed);
      await settled();
      expect(lost).toEqual([]);
    }
    servers.at(-1)?.end(killed);
    await settled();
    expect(lost).toHaveLength(1);
  });

  it("ends a server that comes up while it is being stopped", async () => {
    const first = fakeServer();
    const second = fakeServer();
    const starting = Promise.withResolvers<RunningServer>();
    let starts = 0;
    const { supervisor, logged } = supervise(() => {
      starts += 1;
      return starts === 1 ? Promise.resolve(first) : starting.promise;
    });
    await supervisor.start(new AbortController().signal);
    first.end(killed);
    await settled();
    const stopped = supervisor.stop();
    starting.resolve(second);
    await stopped;
    expect(await second.exited).toEqual({ code: 0, signal: null });
    expect(starts).toBe(2);
    expect(logged.filter((line) => line.includes("running again"))).toEqual([]);
  });
});
