import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { readSchemaFacts, type SchemaFacts } from "../../src/database/doctor/schema-facts.ts";
import { createTestDatabase, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let facts: SchemaFacts;

beforeAll(async () => {
  database = await createTestDatabase();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  facts = await readSchemaFacts(client);
  await client.end();
});

afterAll(() => database.drop());

describe("the manifest of the schema", () => {
  it("is what the migrations make (else: npx vitest run test/integration/schema-manifest.test.ts -u)", async () => {
    const name = inject("engine") === "plain" ? "manifest.json" : `manifest.${inject("engine")}.json`;
    await expect(`${JSON.stringify(facts, undefined, 2)}\n`).toMatchFileSnapshot(`../../migrations/${name}`);
  });

  it("holds every kind of thing", () => {
    const kinds = new Set(Object.keys(facts).map((key) => key.split(" ")[0]));
    expect(kinds).toEqual(
      new Set(["column", "constraint", "function", "grant", "index", "relation", "trigger", "view"]),
    );
  });
});
