/**
 * EventEnvelope, track v1: what every event on the bus is wrapped in. Events of one key keep their order. Unknown fields
 * are ignored by readers.
 */
import { z } from "zod";

/** Reads an envelope from a wire; its payload is checked by the schema that `meta.schema_id` names. */
export const eventEnvelope = z
  .object({
    id: z.string().min(1).describe("The event's own id, a UUID in the store's events; a repeated event keeps it."),
    key: z.string().describe("Events of one key keep their order."),
    ts: z.number().describe("When the event was made, in epoch seconds."),
    meta: z.object({
      schema_id: z.string().describe("Name of the payload's schema, e.g. telemetry.FeedbackEvent."),
      track: z.string().describe("Track of the payload's schema, e.g. v1."),
      headers: z.record(z.string(), z.string()).default({}).describe("What is told beside the payload, as text."),
    }),
    payload: z.record(z.string(), z.unknown()),
  })
  .meta({ title: "telemetry.EventEnvelope" });

export type EventEnvelope = z.output<typeof eventEnvelope>;

/** The JSON Schema (draft 2020-12) of an envelope as it is written. */
export function eventEnvelopeJsonSchema(): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(eventEnvelope, { target: "draft-2020-12", io: "input" });
}
