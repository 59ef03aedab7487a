/**
 * Refuses what a query holds and its route does not know: a `dry_run` that belongs into the body would else be passed
 * over, and the work be done.
 */
import { StoreError } from "../errors/store-error.ts";

/** @throws StoreError `request_invalid`, with the path of each unknown field. */
export function refuseUnknownQuery(query: unknown, known: readonly string[] = []): void {
  const unknown = Object.keys(query as object).filter((name) => !known.includes(name));
  const [first] = unknown;
  if (first === undefined) return;
  const has = known.length === 0 ? "none" : known.join(", ");
  const name = JSON.stringify(first.slice(0, 60));
  throw new StoreError("request_invalid", `This route's query has no field ${name}; it has ${has}.`, {
    details: { errors: unknown.slice(0, 100).map((path) => ({ path, message: "Unknown field" })) },
  });
}
