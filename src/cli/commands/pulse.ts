/** `mds pulse tail`: prints the events of a stream as they come, one envelope a line, until it is stopped. */
import { type Command, Option } from "commander";
import { StoreError } from "../../errors/store-error.ts";
import { consumeFromRedis } from "../../feedback/open-event-bus.ts";
import { PULSE_STREAMS, type PulseStream, streamName } from "../../feedback/pulse-streams.ts";
import { addExamples } from "../flags.ts";
import { interruptible } from "../interruption.ts";
import type { Shell } from "../shell.ts";

interface TailFlags {
  readonly stream: PulseStream;
  readonly group?: string;
  readonly fromStart?: boolean;
  readonly redisUrl?: string;
}

export function pulse(command: Command, shell: Shell): void {
  const tail = command
    .command("tail")
    .description("Print the events of a stream as they come, one JSON envelope a line, until Ctrl-C.")
    .addOption(new Option("--stream <stream>", "which one").choices(PULSE_STREAMS).default(PULSE_STREAMS[0]))
    .option("--group <group>", "as a member of this consumer group, which shares the events and remembers its place")
    .option("--from-start", "begin with the oldest event that the stream has, instead of what comes from now on")
    .option("--redis-url <url>", "the Redis of the event bus; else REDIS_URL (better, if it has a password)")
    .action((flags: TailFlags) => tailStream(shell, flags));
  addExamples(tail, "npx mds pulse tail", "npx mds pulse tail --stream telemetry.schema_drift --from-start");
}

async function tailStream(shell: Shell, { stream, group, fromStart, redisUrl }: TailFlags): Promise<void> {
  const { values } = shell.configure({ redisUrl });
  if (values.eventBusBackend !== "redis" && redisUrl === undefined) {
    throw new StoreError(
      "usage",
      "The event bus is within the service (EVENT_BUS_BACKEND is inmem), where nobody else can listen; set it to redis.",
    );
  }
  const { output } = shell;
  const told = (_facts: object, message?: string): void => output.note(message ?? "");
  await interruptible(shell, async (signal) => {
    const done = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => done.resolve(), { once: true });
    const name = streamName(values.pulseNamespace, stream);
    const consumption = await consumeFromRedis(
      { redisUrl: values.redisUrl, log: { info: told, warn: told } },
      {
        stream: name,
        ...(group !== undefined && { group }),
        from: fromStart ? "oldest" : "now",
        handle: async ({ data }) => {
          await output.data(`${data}\n`);
          if (output.readerIsGone) done.resolve();
        },
      },
    );
    await Promise.race([consumption.ready, done.promise]);
    if (!signal.aborted) output.note(`Listening to ${name}.`);
    await done.promise;
    await consumption.close();
  });
}
