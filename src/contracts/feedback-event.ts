/**
 * FeedbackEvent, track v1: how hard producers may push, as the store says it on every wire. One definition; the type and
 * the JSON Schema are functions of it. Unknown fields are ignored by readers; the store's own extras travel beside it.
 */
import { z } from "zod";

const feedbackLevel = z
  .enum(["ok", "soft", "hard"])
  .describe("ok: push on; soft: slow down; hard: pause until ok or soft.");

/** Reads a FeedbackEvent from a wire. */
export const feedbackEvent = z
  .object({
    coordinator_id: z.string().describe("Whose queue it is."),
    queue_size: z.number().int().nonnegative().describe("Rows that are accepted and neither stored nor given up."),
    capacity: z.number().int().positive().describe("Rows that the queue takes at most."),
    level: feedbackLevel,
    source: z.string().default("store"),
    ts: z.number().describe("When the level was entered, in epoch seconds."),
  })
  .meta({ title: "telemetry.FeedbackEvent" });

export type FeedbackLevel = z.output<typeof feedbackLevel>;
export type FeedbackEvent = z.output<typeof feedbackEvent>;

/** The JSON Schema (draft 2020-12) of a FeedbackEvent as it is written. */
export function feedbackEventJsonSchema(): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(feedbackEvent, { target: "draft-2020-12", io: "input" });
}
