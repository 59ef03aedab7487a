import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore, type Store } from "../../src/client/open-store.ts";
import { bar, collect, manyBars } from "../support/bars.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let store: Store;

beforeAll(async () => {
  database = await createTestDatabase();
  store = await openStore({ url: database.url, timeoutMs: 2_000, applicationName: "outages" });
});

afterAll(async () => {
  await store.close();
  await database.drop();
});

const cutConnections = () =>
  database.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'outages'");

describe("R18 what the database says", () => {
  it("a lost connection is made again and the batch repeated, also in the middle of a call", async () => {
    const rows = manyBars(20_000);
    let batches = 0;
    const result = await store.bars.upsert(rows, {
      batchRows: 1_000,
      onBatch: () => ++batches % 5 === 0 && void cutConnections(),
    });
    expect(result.inserted + result.updated + result.unchanged).toBe(20_000);
    expect((await collect(store.bars.read({}))).length).toBe(20_000);
  });

  it("idle connections that the server cut are replaced without the caller noticing", async () => {
    await cutConnections();
    expect(await store.bars.latest({})).toHaveLength(1);
  });

  it("a deadlock victim is tried again", async () => {
    await database.sql(`create or replace function public.fail_once() returns trigger language plpgsql as $$
      begin
        if nextval('public.failures') = 1 then raise exception 'made up' using errcode = '40P01'; end if;
        return null;
      end $$`);
    await database.sql("create sequence public.failures");
    await database.sql("grant usage on sequence public.failures to mds_owner");
    await database.sql(
      "create trigger fail_once after insert on store.bars_data for each row execute function public.fail_once()",
    );
    expect(await store.bars.upsert([bar(0, { symbol: "LOCK" })])).toMatchObject({ inserted: 1 });
    await database.sql("drop trigger fail_once on store.bars_data");
  });

  it("a value that only the database refuses is not tried again, and has its own code", async () => {
    await database.sql("alter table store.bars_data add constraint made_up check (volume <> 666)");
    await expect(store.bars.upsert([bar(1, { volume: 666 })])).rejects.toMatchObject({
      code: "constraint_violated",
      retryable: false,
      details: { sqlstate: "23514", constraint: "made_up", written: { inserted: 0 } },
    });
    await database.sql("alter table store.bars_data drop constraint made_up");
    expect(await store.bars.upsert([bar(1, { volume: 666 })])).toMatchObject({ updated: 1 });
  });

  it("a database that does not hold the store says what to run", async () => {
    const empty = await createTestDatabase({ empty: true });
    await expect(openStore({ url: empty.url })).rejects.toMatchObject({
      code: "migration_pending",
      message: expect.stringContaining("mds migrate"),
    });
    await empty.drop();
  });

  it("no server, a wrong password and an unknown database are told apart, and no message has the password", async () => {
    const code = async (url: string): Promise<string> => {
      const error = await openStore({ url, connectTimeoutMs: 1_000 }).then(
        () => ({ code: "none", message: "" }),
        (reason) => reason,
      );
      expect(error.message).not.toContain("secret");
      return error.code;
    };
    expect(await code("postgres://nobody:secret@127.0.0.1:1/mds")).toBe("database_unavailable");
    expect(await code(database.url.replace(/:[^:@/]+@/, ":secret@"))).toBe("database_refused");
    expect(await code(database.url.replace(/mds_test_[0-9a-f]+/, "mds_no_such_database"))).toBe("database_refused");
  });
});

describe("time", () => {
  it("a call that takes too long ends with deadline_exceeded, and the store works on", async () => {
    const impatient = await openStore({ url: database.url, timeoutMs: 300 });
    await database.sql("begin");
    await database.sql("lock table store.bars_data in access exclusive mode");
    await expect(impatient.bars.upsert([bar(0)])).rejects.toMatchObject({ code: "deadline_exceeded", retryable: true });
    await expect(collect(impatient.bars.read({}))).rejects.toMatchObject({ code: "deadline_exceeded" });
    await database.sql("rollback");
    expect(await impatient.bars.upsert([bar(0)])).toMatchObject({ rejected: 0 });
    await impatient.close();
  });

  it("an abort ends a waiting call at once", async () => {
    const stop = new AbortController();
    await database.sql("begin");
    await database.sql("lock table store.bars_data in access exclusive mode");
    const waiting = store.bars.upsert([bar(0)], { signal: stop.signal });
    setTimeout(() => stop.abort(), 50);
    await expect(waiting).rejects.toMatchObject({ code: "aborted" });
    await database.sql("rollback");
    expect(await store.bars.upsert([bar(0)])).toMatchObject({ rejected: 0 });
  });

  it("an abort before the call keeps it from starting", async () => {
    const signal = AbortSignal.abort();
    await expect(store.bars.upsert([bar(0)], { signal })).rejects.toMatchObject({ code: "aborted" });
    await expect(collect(store.bars.read({}, { signal }))).rejects.toMatchObject({ code: "aborted" });
  });
});
