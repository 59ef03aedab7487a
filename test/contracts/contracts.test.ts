/** The committed contracts: generated from the code, and golden examples that ours and a stranger's validator agree on. */
import { readdirSync, readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";
import type { z } from "zod";
import { eventEnvelope } from "../../src/contracts/event-envelope.ts";
import { feedbackEvent } from "../../src/contracts/feedback-event.ts";
import { healthStatus } from "../../src/contracts/health-status.ts";
import { schemaDrift } from "../../src/contracts/schema-drift.ts";
import { RowBatch } from "../../src/datasets/derive/row-batch.ts";
import { type DatasetName, datasetNamed } from "../../src/datasets/registry.ts";
import { schemaFileName, schemaFileText } from "../../src/registry/schema-files.ts";
import { storeSchemas } from "../../src/registry/store-schemas.ts";

interface Examples {
  readonly schema: string;
  readonly valid: readonly { readonly case: string; readonly value: unknown }[];
  readonly invalid: readonly { readonly case: string; readonly value: unknown }[];
}

const CONTRACTS: Readonly<Record<string, z.ZodType>> = {
  "telemetry.HealthStatus": healthStatus,
  "telemetry.FeedbackEvent": feedbackEvent,
  "telemetry.EventEnvelope": eventEnvelope,
  "telemetry.schema_drift": schemaDrift,
};
const FOLDER = new URL("../../contracts/", import.meta.url);
const schemas = storeSchemas();
const names = Object.keys(schemas);
const examplesOf = (name: string) =>
  JSON.parse(readFileSync(new URL(`examples/${name}.json`, FOLDER), "utf8")) as Examples;

/** Draft 2020-12 leaves it open whether formats are checked; here they are. */
const DATE = /^(\d{4}-\d\d-\d\d)$/;
const TIME = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const isDay = (text: string | undefined): boolean =>
  text !== undefined && new Date(`${text}T00:00:00Z`).toJSON()?.startsWith(text) === true;
const ajv = new Ajv2020({
  strictTypes: false,
  formats: {
    date: (text: string) => isDay(DATE.exec(text)?.[1]),
    "date-time": (text: string) => isDay(TIME.exec(text)?.[1]),
  },
});

/** What the store itself reads with. */
function isRead(name: string, value: unknown): boolean {
  const contract = CONTRACTS[name];
  if (contract !== undefined) return contract.safeParse(value).success;
  const batch = new RowBatch(datasetNamed(name.replace("store.", "") as DatasetName), 1);
  return batch.add(value) === undefined;
}

describe("the files under contracts/", () => {
  it("are what `npm run generate` writes, and no others", () => {
    expect(readdirSync(new URL("v1/", FOLDER)).sort()).toEqual(names.map(schemaFileName).sort());
    for (const name of names) {
      const text = readFileSync(new URL(`v1/${schemaFileName(name)}`, FOLDER), "utf8");
      expect(text, `${name} is stale; run npm run generate`).toBe(schemaFileText(schemas[name]!));
    }
  });

  it("have examples of each schema, and of no other", () => {
    expect(readdirSync(new URL("examples/", FOLDER)).sort()).toEqual(names.map((name) => `${name}.json`).sort());
  });
});

describe.each(names)("%s", (name) => {
  const { schema, valid, invalid } = examplesOf(name);
  const validate = ajv.compile(schemas[name]!);

  it("is the schema of its examples", () => expect(schema).toBe(name));

  it.each([...valid])("accepts $case", ({ value }) => {
    expect(validate(value), ajv.errorsText(validate.errors)).toBe(true);
    expect(isRead(name, value)).toBe(true);
  });

  it.each([...invalid])("refuses $case", ({ value }) => {
    expect(validate(value)).toBe(false);
    expect(isRead(name, value)).toBe(false);
  });
});
