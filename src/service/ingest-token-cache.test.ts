import { describe, expect, it } from "vitest";
import { StoreError } from "../errors/store-error.ts";
import { IngestTokenCache } from "./ingest-token-cache.ts";

const tokenOf = (mark: string): string => `mds_${mark.padEnd(43, "x")}`;

function cacheOf(answer: (token: string) => Promise<string | undefined>) {
  const clock = { ms: 0 };
  const asked: string[] = [];
  const cache = new IngestTokenCache({
    lookUp: (token) => {
      asked.push(token);
      return answer(token);
    },
    now: () => clock.ms,
  });
  return { cache, clock, asked };
}

describe("IngestTokenCache", () => {
  it("believes what it found for 30 s at most, from when it asked", async () => {
    const { cache, clock, asked } = cacheOf(async () => {
      clock.ms += 4_000; // a slow database
      return "tenant-1";
    });
    expect(await cache.tenantOf(tokenOf("a"))).toBe("tenant-1");
    clock.ms = 29_999;
    expect(await cache.tenantOf(tokenOf("a"))).toBe("tenant-1");
    expect(asked).toHaveLength(1);
    clock.ms = 30_000;
    await cache.tenantOf(tokenOf("a"));
    expect(asked).toHaveLength(2);
  });

  it("asks again soon for what it did not find", async () => {
    let tenant: string | undefined;
    const { cache, clock, asked } = cacheOf(async () => tenant);
    expect(await cache.tenantOf(tokenOf("a"))).toBeUndefined();
    tenant = "tenant-1";
    expect(await cache.tenantOf(tokenOf("a"))).toBeUndefined();
    expect(asked).toHaveLength(1);
    clock.ms = 2_000;
    expect(await cache.tenantOf(tokenOf("a"))).toBe("tenant-1");
  });

  it("does not ask for what is no token", async () => {
    const { cache, asked } = cacheOf(async () => "tenant-1");
    for (const text of ["", "mds_short", `${tokenOf("a")}x`, "x".repeat(47), `mds_${"\n".repeat(43)}`]) {
      expect(await cache.tenantOf(text)).toBeUndefined();
    }
    expect(asked).toEqual([]);
  });

  it("asks once for requests at the same time, and one that gives up does not end the others", async () => {
    const held = Promise.withResolvers<string>();
    const { cache, asked } = cacheOf(() => held.promise);
    const giving = new AbortController();
    const given = cache.tenantOf(tokenOf("a"), giving.signal);
    const others = Array.from({ length: 5 }, () => cache.tenantOf(tokenOf("a")));
    giving.abort();
    await expect(given).rejects.toMatchObject({ code: "aborted" });
    held.resolve("tenant-1");
    expect(await Promise.all(others)).toEqual(Array(5).fill("tenant-1"));
    expect(asked).toHaveLength(1);
  });

  it("keeps no fault", async () => {
    let isAway = true;
    const { cache } = cacheOf(async () => {
      if (isAway) throw new StoreError("database_unavailable", "It is away.");
      return "tenant-1";
    });
    await expect(cache.tenantOf(tokenOf("a"))).rejects.toMatchObject({ code: "database_unavailable" });
    isAway = false;
    expect(await cache.tenantOf(tokenOf("a"))).toBe("tenant-1");
  });

  it("believes what the database said last while it is away, for an hour at most, and asks it again soon", async () => {
    let state: "found" | "away" | "revoked" = "found";
    const { cache, clock, asked } = cacheOf(async () => {
      if (state === "away") throw new StoreError("database_unavailable", "It is away.");
      return state === "found" ? "tenant-1" : undefined;
    });
    await cache.tenantOf(tokenOf("a"));
    state = "away";
    clock.ms = 30_000;
    expect(await cache.tenantOf(tokenOf("a"))).toBe("tenant-1");
    await expect(cache.tenantOf(tokenOf("b"))).rejects.toMatchObject({ code: "database_unavailable" });
    // Not for every request.
    const before = asked.length;
    clock.ms = 31_999;
    expect(await cache.tenantOf(tokenOf("a"))).toBe("tenant-1");
    expect(asked).toHaveLength(before);
    clock.ms = 3_599_999;
    expect(await cache.tenantOf(tokenOf("a"))).toBe("tenant-1");
    clock.ms = 3_602_000;
    await expect(cache.tenantOf(tokenOf("a"))).rejects.toMatchObject({ code: "database_unavailable" });
    state = "revoked";
    clock.ms = 3_602_001;
    expect(await cache.tenantOf(tokenOf("a"))).toBeUndefined();
    // What was refused is refused, also while the database is away again.
    state = "away";
    clock.ms = 3_605_000;
    await expect(cache.tenantOf(tokenOf("a"))).rejects.toMatchObject({ code: "database_unavailable" });
  });

  it("takes a fault of ours for no outage", async () => {
    let isBroken = false;
    const { cache, clock } = cacheOf(async () => {
      if (isBroken) throw new StoreError("database_error", "A column is missing.");
      return "tenant-1";
    });
    await cache.tenantOf(tokenOf("a"));
    isBroken = true;
    clock.ms = 30_000;
    await expect(cache.tenantOf(tokenOf("a"))).rejects.toMatchObject({ code: "database_error" });
  });

  it("forgets the oldest of more than ten thousand", async () => {
    const { cache, asked } = cacheOf(async () => "tenant-1");
    for (let count = 0; count <= 10_000; count++) await cache.tenantOf(tokenOf(`t${count}-`));
    await cache.tenantOf(tokenOf("t1-"));
    expect(asked).toHaveLength(10_001);
    await cache.tenantOf(tokenOf("t0-"));
    expect(asked).toHaveLength(10_002);
  });
});
