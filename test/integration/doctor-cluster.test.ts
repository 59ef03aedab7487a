import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { diagnose } from "../../src/database/doctor/diagnose.ts";
import { migrateUp } from "../../src/database/migrator.ts";
import { startThrowawayCluster, type ThrowawayCluster } from "../support/throwaway-cluster.ts";

// Roles belong to a whole server, so these tests have one of their own.
let cluster: ThrowawayCluster;
let client: pg.Client;

beforeAll(async () => {
  cluster = await startThrowawayCluster();
  await migrateUp({ adminUrl: cluster.adminUrl, serviceUrl: cluster.url });
  client = new pg.Client({ connectionString: cluster.adminUrl });
  await client.connect();
});

afterAll(async () => {
  await client.end();
  await cluster.stop();
});

const found = async (fix = false): Promise<string[]> => {
  const options = { adminUrl: cluster.adminUrl, serviceUrl: cluster.url, poolSize: 10, scheduledJobs: [] };
  const { findings } = await diagnose(options, { fix });
  return findings
    .map(({ code, message }) => `${code}: ${message}`)
    .filter((one) => /^(role|grant|membership)/.test(one));
};

it("a role that is missing is found, made again, and gets its rights back", async () => {
  expect(await found()).toEqual([]);
  await client.query("drop owned by mds_reader; drop role mds_reader");
  expect(await found()).toEqual(["role_missing: The server lacks these roles: mds_reader."]);
  expect(await found(true)).toEqual([]);
  const { rows } = await client.query("select has_table_privilege('mds_reader', 'mds.bars', 'select') as may");
  expect(rows).toEqual([{ may: true }]);
});

it("a role of ours that may log in, or more, is told of", async () => {
  await client.query("alter role mds_owner login createdb");
  expect(await found(true)).toEqual([expect.stringMatching(/^role_too_powerful: .*: mds_owner\.$/)]);
  await client.query("alter role mds_owner nologin nocreatedb");
  expect(await found()).toEqual([]);
});
