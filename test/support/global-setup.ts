/**
 * One PostgreSQL for the whole run: a throw-away cluster, or the server of TEST_DATABASE_URL (a superuser's URL); for
 * the suites on TimescaleDB that of TEST_TIMESCALE_URL. It holds a migrated template database, from which each test file
 * gets a copy of its own, and an empty one.
 */
import pg from "pg";
import type { TestProject } from "vitest/node";
import type { EngineName } from "../../src/database/engine/engine.ts";
import { migrateUp } from "../../src/database/migrator.ts";
import { adminUrlOf, EMPTY_TEMPLATE, SERVICE_LOGIN, serviceUrlOf, TEMPLATE } from "./test-database.ts";
import { startThrowawayCluster } from "./throwaway-cluster.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** A superuser's connection string to the test server. */
    adminUrl: string;
    /** What its databases have. */
    engine: EngineName;
  }
}

/** Runs before all test files; what it returns runs after them. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { engine = "plain" } = project.config.provide;
  const given = process.env[engine === "timescale" ? "TEST_TIMESCALE_URL" : "TEST_DATABASE_URL"];
  const cluster = given === undefined ? await startThrowawayCluster() : undefined;
  const adminUrl = given ?? cluster!.adminUrl;
  await makeTemplates(adminUrl, engine);
  project.provide("adminUrl", adminUrl);
  return async () => {
    await cluster?.stop();
  };
}

async function makeTemplates(adminUrl: string, engine: EngineName): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  for (const template of [TEMPLATE, EMPTY_TEMPLATE]) {
    await client.query(`drop database if exists ${template} with (force)`);
    await client.query(`create database ${template} template template0`);
    if (engine === "timescale") await addTimescale(adminUrlOf(adminUrl, template));
  }
  const { rowCount } = await client.query("select from pg_roles where rolname = $1", [SERVICE_LOGIN]);
  if (rowCount === 0) await client.query(`create role ${SERVICE_LOGIN} login`);
  await client.query(`alter role ${SERVICE_LOGIN} password '${SERVICE_LOGIN}'`);
  // Named, so that a server that cannot have the engine fails the run.
  const urls = { adminUrl: adminUrlOf(adminUrl, TEMPLATE), serviceUrl: serviceUrlOf(adminUrl, TEMPLATE) };
  await migrateUp({ ...urls, engine });
  for (const template of [TEMPLATE, EMPTY_TEMPLATE]) {
    // A database that anybody is connected to, such as TimescaleDB's scheduler, cannot be copied.
    await client.query(`alter database ${template} with allow_connections false`);
    await client.query("select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = $1", [template]);
  }
  await client.end();
}

async function addTimescale(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("create extension if not exists timescaledb");
  await client.end();
}
