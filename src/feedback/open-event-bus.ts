/** Opens the event bus that the settings name. */
import type { Logger } from "../telemetry/logger.ts";
import type { ConsumeOptions, Consumption, EventBus } from "./event-bus.ts";
import { MemoryBus } from "./memory-bus.ts";

interface OpenEventBusOptions {
  readonly backend: "inmem" | "redis";
  /** Of the server; unused in memory. */
  readonly redisUrl: string;
  readonly log: Pick<Logger, "info" | "warn">;
}

/**
 * The bus; a server that is away is waited for.
 * @throws StoreError `packages_missing` where the optional Redis package is not installed.
 */
export async function openEventBus({ backend, redisUrl, log }: OpenEventBusOptions): Promise<EventBus> {
  if (backend === "inmem") return new MemoryBus();
  // Loaded when it is wanted only.
  const { RedisBus } = await import("./redis-bus.ts");
  return RedisBus.open({ url: redisUrl, log });
}

/**
 * A consumer of a stream on Redis, for who does not publish; a server that is away is waited for.
 * @throws StoreError `packages_missing` where the optional Redis package is not installed.
 */
export async function consumeFromRedis(
  { redisUrl, log }: Pick<OpenEventBusOptions, "redisUrl" | "log">,
  options: ConsumeOptions,
): Promise<Consumption> {
  const [{ loadRedis }, { RedisConsumption }] = await Promise.all([
    import("./redis-connection.ts"),
    import("./redis-consumption.ts"),
  ]);
  return new RedisConsumption(await loadRedis(), { url: redisUrl, log }, options);
}
