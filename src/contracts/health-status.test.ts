import { describe, expect, it } from "vitest";
import { healthStatus, healthStatusJsonSchema } from "./health-status.ts";

const sample = {
  service: "market-data-store",
  state: "healthy",
  components: [{ name: "database", state: "healthy", details: { since: "2026-01-01T00:00:00Z" } }],
  version: "0.5.0",
  ts: 1697654321.123,
};

describe("healthStatus", () => {
  it("reads a status and ignores fields that it does not know", () => {
    expect(healthStatus.parse({ ...sample, region: "eu" })).toEqual(sample);
  });

  it("reads a status without components", () => {
    const { components: _, ...bare } = sample;
    expect(healthStatus.parse(bare).components).toEqual([]);
  });

  it.each([
    { ...sample, state: "fine" },
    { ...sample, ts: "1697654321" },
    { ...sample, components: [{ name: "database" }] },
    { ...sample, components: [{ name: "database", state: "healthy", details: { pending: 1 } }] },
  ])("refuses what breaks the contract (%#)", (status) => {
    expect(healthStatus.safeParse(status).success).toBe(false);
  });
});

describe("healthStatusJsonSchema", () => {
  it("requires what the contract requires, and forbids no other field", () => {
    const schema = healthStatusJsonSchema();
    expect(schema.$schema).toBe("https://json-schema.org/draft/2020-12/schema");
    expect(schema.required).toEqual(["service", "state", "version", "ts"]);
    expect(JSON.stringify(schema)).not.toContain('additionalProperties":false');
  });
});
