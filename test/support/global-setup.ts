/**
 * One PostgreSQL for the whole run: a throw-away cluster, or the server of TEST_DATABASE_URL (a superuser's URL). It
 * holds a migrated template database, from which each test file gets a copy of its own.
 */
import pg from "pg";
import type { TestProject } from "vitest/node";
import { migrateUp } from "../../src/database/migrator.ts";
import { adminUrlOf, SERVICE_LOGIN, serviceUrlOf, TEMPLATE } from "./test-database.ts";
import { startThrowawayCluster } from "./throwaway-cluster.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** A superuser's connection string to the test server. */
    adminUrl: string;
  }
}

/** Runs before all test files; what it returns runs after them. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env["TEST_DATABASE_URL"];
  const cluster = given === undefined ? await startThrowawayCluster() : undefined;
  const adminUrl = given ?? cluster!.adminUrl;
  await makeTemplate(adminUrl);
  project.provide("adminUrl", adminUrl);
  return async () => {
    await cluster?.stop();
  };
}

async function makeTemplate(adminUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  await client.query(`drop database if exists ${TEMPLATE}`);
  await client.query(`create database ${TEMPLATE}`);
  const { rowCount } = await client.query("select from pg_roles where rolname = $1", [SERVICE_LOGIN]);
  if (rowCount === 0) await client.query(`create role ${SERVICE_LOGIN} login`);
  await client.query(`alter role ${SERVICE_LOGIN} password '${SERVICE_LOGIN}'`);
  await client.end();
  await migrateUp({ adminUrl: adminUrlOf(adminUrl, TEMPLATE), serviceUrl: serviceUrlOf(adminUrl, TEMPLATE) });
}
