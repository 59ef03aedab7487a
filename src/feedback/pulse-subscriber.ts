/**
 * Listens to a stream of the store: for pipelines that heed feedback, and for whoever watches drift. Events are checked
 * by their contracts before they are handed on; one that breaks them is told and skipped, and one of another schema is
 * none of this subscriber's.
 */
import { fieldsOf, requireFields } from "../errors/require-fields.ts";
import { StoreError } from "../errors/store-error.ts";
import type { ConsumeOptions, Delivery, EventBus } from "./event-bus.ts";
import { consumeFromRedis } from "./open-event-bus.ts";
import {
  DEFAULT_NAMESPACE,
  PULSE_STREAMS,
  type PulsePayloads,
  type PulseStream,
  SCHEMA_OF_STREAM,
  streamName,
} from "./pulse-streams.ts";

/** An event as its contract has it. */
export interface PulseEvent<Stream extends PulseStream> {
  /** Repeated events have the same. */
  readonly id: string;
  readonly key: string;
  /** When it was made, epoch seconds. */
  readonly ts: number;
  readonly track: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: PulsePayloads[Stream];
}

export interface PulseSubscriberOptions<Stream extends PulseStream>
  extends Pick<ConsumeOptions, "group" | "consumer" | "from" | "claimAfterMs" | "onError"> {
  readonly stream: Stream;
  /** As MD_NAMESPACE of the store; `mdp` unless given. */
  readonly namespace?: string;
  /** Redis of the platform: redis://[[login]:password@]host[:port][/database]. */
  readonly redisUrl?: string;
  /** Instead of `redisUrl`: a bus of this process, which its owner closes. */
  readonly bus?: EventBus;
  /**
   * Called with one event at a time, at least once for each in a group. What it throws is told to `onError`, and the
   * event comes again, five times at most.
   */
  readonly onEvent: (event: PulseEvent<Stream>) => Promise<void> | void;
}

export interface PulseSubscriber {
  /** Resolves once whatever is published from then on will come. */
  readonly ready: Promise<void>;
  /** Ends after the event under way, within 2 s. */
  close(): Promise<void>;
}

const OPTIONS = fieldsOf<PulseSubscriberOptions<PulseStream>>({
  stream: true,
  namespace: true,
  redisUrl: true,
  bus: true,
  group: true,
  consumer: true,
  from: true,
  claimAfterMs: true,
  onEvent: true,
  onError: true,
});
const QUIET = { info: () => undefined, warn: () => undefined };

/**
 * Begins to listen; a server that is away is waited for.
 * @throws StoreError `usage` without a bus and for options that are wrong, `packages_missing` where the optional Redis package is not installed.
 */
export async function createPulseSubscriber<Stream extends PulseStream>(
  options: PulseSubscriberOptions<Stream>,
): Promise<PulseSubscriber> {
  requireFields("createPulseSubscriber", options, OPTIONS);
  const { stream, namespace = DEFAULT_NAMESPACE, redisUrl, bus, onEvent, onError, ...rest } = options;
  if (bus === undefined && redisUrl === undefined) {
    throw new StoreError("usage", "createPulseSubscriber needs redisUrl, or a bus of this process.");
  }
  if (!PULSE_STREAMS.includes(stream)) {
    throw new StoreError("usage", `stream must be one of ${PULSE_STREAMS.join(", ")}.`);
  }
  if (onEvent === undefined) throw new StoreError("usage", "createPulseSubscriber needs onEvent.");
  const read = await eventReader(stream);
  const consume: ConsumeOptions = {
    ...rest,
    ...(onError && { onError }),
    stream: streamName(namespace, stream),
    handle: async (delivery) => {
      const event = read(delivery);
      if (event instanceof StoreError) onError?.(event);
      else if (event !== undefined) await onEvent(event);
    },
  };
  const consumption = bus?.consume(consume) ?? (await consumeFromRedis({ redisUrl: redisUrl!, log: QUIET }, consume));
  return { ready: consumption.ready, close: () => consumption.close() };
}

type Read<Stream extends PulseStream> = (delivery: Delivery) => PulseEvent<Stream> | StoreError | undefined;

/** The contracts are loaded here only: the schema library is no part of every start. */
async function eventReader<Stream extends PulseStream>(stream: Stream): Promise<Read<Stream>> {
  const [{ eventEnvelope }, { feedbackEvent }, { schemaDrift }] = await Promise.all([
    import("../contracts/event-envelope.ts"),
    import("../contracts/feedback-event.ts"),
    import("../contracts/schema-drift.ts"),
  ]);
  const payloadSchema = { "telemetry.feedback": feedbackEvent, "telemetry.schema_drift": schemaDrift }[stream];
  return ({ entryId, data }) => {
    const invalid = (what: string): StoreError =>
      new StoreError("event_invalid", `Event ${entryId} of ${stream} was skipped: ${what}`);
    const envelope = eventEnvelope.safeParse(parsed(data));
    if (!envelope.success) return invalid(`it is no envelope (${firstIssue(envelope.error)}).`);
    const { id, key, ts, meta, payload: raw } = envelope.data;
    if (meta.schema_id !== SCHEMA_OF_STREAM[stream]) return undefined;
    const payload = payloadSchema.safeParse(raw);
    if (!payload.success) return invalid(`its payload is no ${meta.schema_id} (${firstIssue(payload.error)}).`);
    return { id, key, ts, track: meta.track, headers: meta.headers, payload: payload.data as PulsePayloads[Stream] };
  };
}

function parsed(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}

function firstIssue({ issues }: { readonly issues: readonly { path: PropertyKey[]; message: string }[] }): string {
  const [first] = issues;
  return `${first?.path.map(String).join(".") ?? ""}: ${first?.message ?? ""}`;
}
