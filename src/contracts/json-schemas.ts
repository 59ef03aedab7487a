/**
 * The contracts by name, as JSON Schema (draft 2020-12) of what is written on the wires. No schema forbids further
 * fields: readers ignore what they do not know.
 */
import { eventEnvelopeJsonSchema } from "./event-envelope.ts";
import { feedbackEventJsonSchema } from "./feedback-event.ts";
import { healthStatusJsonSchema } from "./health-status.ts";
import { schemaDriftJsonSchema } from "./schema-drift.ts";
import type { JsonSchema } from "./schema-hash.ts";

/** The JSON Schema of each contract, by its schema's name. */
export function contractJsonSchemas(): Record<string, JsonSchema> {
  const schemas = {
    "telemetry.HealthStatus": healthStatusJsonSchema(),
    "telemetry.FeedbackEvent": feedbackEventJsonSchema(),
    "telemetry.EventEnvelope": eventEnvelopeJsonSchema(),
    "telemetry.schema_drift": schemaDriftJsonSchema(),
  };
  return Object.fromEntries(
    Object.entries(schemas).map(([name, { $schema, title, ...schema }]) => {
      return [name, { $schema, $id: `market-data-store/${name}`, title, ...schema }];
    }),
  );
}
