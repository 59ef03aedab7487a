/**
 * HealthStatus, track v1: what the store says about its health on every wire. One definition; the type and the JSON
 * Schema are functions of it. Unknown fields are ignored by readers.
 */
import { z } from "zod";

const healthState = z
  .enum(["healthy", "degraded", "unhealthy"])
  .describe("degraded: something is away and the store waits for it; unhealthy: it needs a person.");

const healthComponent = z.object({
  name: z.string(),
  state: healthState,
  details: z.record(z.string(), z.string()).optional(),
});

/** Reads a HealthStatus from a wire. */
export const healthStatus = z
  .object({
    service: z.string(),
    state: healthState.describe("The worst of the components' states."),
    components: z.array(healthComponent).default([]),
    version: z.string().describe("The version of the service."),
    ts: z.number().describe("When the state was found, in epoch seconds."),
  })
  .meta({ title: "telemetry.HealthStatus" });

export type HealthState = z.output<typeof healthState>;
export type HealthComponent = z.output<typeof healthComponent>;
export type HealthStatus = z.output<typeof healthStatus>;

/** The JSON Schema (draft 2020-12) of a HealthStatus as it is written. */
export function healthStatusJsonSchema(): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(healthStatus, { target: "draft-2020-12", io: "input" });
}
