/**
 * A process that owns an embedded database (or a throw-away cluster), for tests that kill it. Started with `fork`:
 * reports what happened in one message, stops in order when it is told to.
 */
import { openEmbedded } from "../../src/database/embedded.ts";
import { StoreError } from "../../src/errors/store-error.ts";
import { startThrowawayCluster } from "./throwaway-cluster.ts";

/** The one message. */
export type OwnerReport =
  | { readonly state: "open"; readonly url: string; readonly adminUrl: string; readonly notices: readonly string[] }
  | { readonly state: "failed"; readonly code: string; readonly message: string };

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

async function main(kind: string | undefined, dataDir: string | undefined): Promise<void> {
  try {
    const database =
      kind === "throwaway"
        ? { notices: [], ...(await startThrowawayCluster()) }
        : await openEmbedded({ dataDir: dataDir ?? "", log: silent });
    process.once("message", () => void database.stop().then(() => process.disconnect?.()));
    const { url, adminUrl, notices } = database;
    process.send?.({ state: "open", url, adminUrl, notices } satisfies OwnerReport);
  } catch (error) {
    const code = error instanceof StoreError ? error.code : "unknown";
    process.send?.({ state: "failed", code, message: String(error) } satisfies OwnerReport);
    process.disconnect?.();
  }
}

await main(process.argv[2], process.argv[3]);
