import { describe, expect, it } from "vitest";
import { feedbackEvent, feedbackEventJsonSchema } from "./feedback-event.ts";

const sample = { coordinator_id: "bars-coord", queue_size: 80, capacity: 100, level: "hard", source: "store", ts: 1.5 };

describe("feedbackEvent", () => {
  it("reads an event, ignores fields that it does not know, and knows whose it is when that is not said", () => {
    expect(feedbackEvent.parse({ ...sample, region: "eu" })).toEqual(sample);
    const { source: _, ...bare } = sample;
    expect(feedbackEvent.parse(bare)).toEqual(sample);
  });

  it.each([
    { ...sample, level: "full" },
    { ...sample, queue_size: -1 },
    { ...sample, queue_size: 1.5 },
    { ...sample, capacity: 0 },
    { ...sample, ts: "1.5" },
  ])("refuses what breaks the contract (%#)", (event) => {
    expect(feedbackEvent.safeParse(event).success).toBe(false);
  });
});

describe("feedbackEventJsonSchema", () => {
  it("requires all but the source, and forbids no other field", () => {
    const schema = feedbackEventJsonSchema();
    expect(schema.$schema).toBe("https://json-schema.org/draft/2020-12/schema");
    expect(schema.required).toEqual(["coordinator_id", "queue_size", "capacity", "level", "ts"]);
    expect(JSON.stringify(schema)).not.toContain('additionalProperties":false');
  });
});
