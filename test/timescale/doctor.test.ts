import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { diagnose } from "../../src/database/doctor/diagnose.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;

const look = async (fix = false) => {
  const { adminUrl, url } = database;
  const { findings } = await diagnose({ adminUrl, serviceUrl: url, poolSize: 4, scheduledJobs: [] }, { fix });
  return findings
    .map(({ code, message }) => `${code}: ${message}`)
    .filter((text) => !text.startsWith("jobs_never_ran"));
};

describe.skipIf(process.env["TEST_TIMESCALE_URL"] === undefined)("the doctor of a database with TimescaleDB", () => {
  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  it("has nothing to say of one that was just migrated", async () => {
    expect(await look()).toEqual([]);
  });

  it("finds a job that is missing, and makes it", async () => {
    await database.sql("call remove_columnstore_policy('store.bars_data'::regclass)");
    expect(await look()).toEqual([expect.stringMatching(/^columnstore_policy_missing: .* bars\.$/)]);
    expect(await look(true)).toEqual([]);
  });

  it("finds what of the engine is missing", async () => {
    await database.sql("set role mds_owner");
    await database.sql("drop function store.delete_series_rows(text, int4[], int4)");
    await database.sql("reset role");
    expect(await look()).toEqual([expect.stringMatching(/^function_missing: The function store\.delete_series_rows/)]);
  });
});
