/** Hands one event to its handler, again and again in growing pauses until it is handled or given up. */
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, StoreError } from "../errors/store-error.ts";
import type { ConsumeOptions, Delivery } from "./event-bus.ts";

/** A fault of a moment is over after the pauses between them, 1.5 s in all; one that is not must not stop the stream. */
const MAX_ATTEMPTS = 5;
const FIRST_PAUSE_MS = 100;

/** True when the event is done with: handled, or given up. False when the signal was aborted before. */
export async function deliver(
  { handle, onError, stream }: Pick<ConsumeOptions, "handle" | "onError" | "stream">,
  delivery: Delivery,
  signal: AbortSignal,
): Promise<boolean> {
  for (let attempt = 1; !signal.aborted; attempt++) {
    try {
      await handle(delivery);
      return true;
    } catch (cause) {
      const isLast = attempt === MAX_ATTEMPTS;
      const rest = isLast ? `it is given up after ${MAX_ATTEMPTS} attempts` : "it is tried again";
      const message = `Event ${delivery.entryId} of ${stream} was not handled, ${rest}: ${messageOf(cause)}`;
      onError?.(new StoreError("event_not_handled", message, { cause }));
      if (isLast) return true;
      await sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1), undefined, { signal }).catch(() => undefined);
    }
  }
  return false;
}
