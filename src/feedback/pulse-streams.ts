/** The streams on which the store speaks: their names, and what each carries. */
import type { FeedbackEvent } from "../contracts/feedback-event.ts";
import type { SchemaDrift } from "../contracts/schema-drift.ts";

/** What the events of each stream hold. */
export interface PulsePayloads {
  readonly "telemetry.feedback": FeedbackEvent;
  readonly "telemetry.schema_drift": SchemaDrift;
}
/** Name of a stream without its namespace. */
export type PulseStream = keyof PulsePayloads;

/** The schema of each stream's payloads. */
export const SCHEMA_OF_STREAM: Readonly<Record<PulseStream, string>> = {
  "telemetry.feedback": "telemetry.FeedbackEvent",
  "telemetry.schema_drift": "telemetry.schema_drift",
};
export const PULSE_STREAMS = Object.keys(SCHEMA_OF_STREAM) as readonly PulseStream[];

/** The default of MD_NAMESPACE. */
export const DEFAULT_NAMESPACE = "mdp";

/** Name of a stream on the bus. */
export function streamName(namespace: string, stream: PulseStream): string {
  return `${namespace}.${stream}`;
}
