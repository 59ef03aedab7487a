/**
 * Deletes a tenant and everything of it: marks it, waits for the transactions that began before, and deletes its rows in
 * small transactions, table by table, its series and itself last. What breaks off goes on by being called again. The
 * tenant cannot be brought back from the moment it is marked; its ids are never used again.
 */
import { setTimeout as wait } from "node:timers/promises";
import { StoreError } from "../errors/store-error.ts";
import { withRetry } from "./retry.ts";
import { runAsRole } from "./session.ts";
import type { AdminScope } from "./tenants.ts";

/** Rows a transaction: a tenth of a second's work, so that locks are short and a stop is heeded soon. */
const ROWS_PER_BATCH = 5_000;
/** How long transactions that began before may go on; a longer one has been forgotten. */
const PATIENCE_MS = 600_000;
const POLL_MS = 200;
/** Transactions that the error names. */
const MAX_NAMED = 5;

/** A tenant that is being deleted, or was. */
export interface DeletedTenant {
  /** UUID. */
  readonly tenant_id: string;
  readonly slug: string;
}

export interface DeletionProgress {
  /** Rows that were deleted since the last call. */
  readonly rows: number;
  /** What is being done, in one sentence. */
  readonly message: string;
}

export interface DeletionOptions {
  readonly signal?: AbortSignal;
  /** The tenant was marked: from now on it has to go. */
  readonly onMarked?: (tenant: DeletedTenant) => Promise<void>;
  readonly onProgress?: (progress: DeletionProgress) => Promise<void>;
  /** Ten minutes unless given. */
  readonly patienceMs?: number;
}

/**
 * @param slugOrId - Of a tenant in whatever state.
 * @returns The tenant, with the number of rows that this call deleted.
 * @throws StoreError `tenant_unknown`; `tenant_protected` for "default"; `tenant_in_use` when a transaction that began
 *   before does not end (the tenant stays marked, and the call may be repeated).
 */
export async function deleteTenant(
  scope: AdminScope,
  slugOrId: string,
  options: DeletionOptions = {},
): Promise<DeletedTenant & { readonly rows: number }> {
  return new Deletion(scope, options).run(slugOrId);
}

class Deletion {
  readonly #scope: AdminScope;
  readonly #options: DeletionOptions;
  #rows = 0;

  constructor(scope: AdminScope, options: DeletionOptions) {
    this.#scope = scope;
    this.#options = options;
  }

  async run(slugOrId: string): Promise<DeletedTenant & { readonly rows: number }> {
    const text = "select tenant_id, slug from mds.begin_tenant_deletion($1)";
    const [tenant] = await this.#ask<DeletedTenant>(text, [slugOrId]);
    if (tenant === undefined) {
      throw new StoreError("tenant_unknown", `There is no tenant "${slugOrId}"; \`mds tenant list\` shows them.`);
    }
    await this.#options.onMarked?.(tenant);
    await this.#waitForOthers();
    await this.#deleteRows(tenant, true);
    // Work for all tenants, such as refreshing aggregates, may have read rows before they were deleted, and write what it
    // made of them afterwards.
    await this.#waitForOthers();
    await this.#deleteRows(tenant, true);
    await this.#deleteRows(tenant, false);
    await this.#ask("select mds.finish_tenant_deletion($1::uuid)", [tenant.tenant_id]);
    return { ...tenant, rows: this.#rows };
  }

  /** Waits for the end of all transactions that are open now. */
  async #waitForOthers(): Promise<void> {
    const { signal, patienceMs = PATIENCE_MS } = this.#options;
    const deadline = performance.now() + patienceMs;
    let open = await this.#openTransactions();
    while (open.length > 0) {
      if (performance.now() > deadline) throw inUse(open);
      await this.#options.onProgress?.({ rows: 0, message: waitingFor(open) });
      await wait(POLL_MS, undefined, { signal }).catch(() => signal?.throwIfAborted());
      const now = new Set(await this.#openTransactions());
      open = open.filter((one) => now.has(one));
    }
  }

  async #openTransactions(): Promise<readonly string[]> {
    const [row] = await this.#ask<{ open: string[] }>("select mds.open_transactions() as open", []);
    return row!.open;
  }

  async #deleteRows({ tenant_id }: DeletedTenant, bySeries: boolean): Promise<void> {
    const text = "select table_name from mds.list_tenant_tables() where by_series = $1";
    const tables = await this.#ask<{ table_name: string }>(text, [bySeries]);
    for (const { table_name: table } of tables) {
      for (let deleted = ROWS_PER_BATCH; deleted >= ROWS_PER_BATCH; ) {
        deleted = await this.#deleteBatch(tenant_id, table);
        this.#rows += deleted;
        if (deleted > 0) await this.#options.onProgress?.({ rows: deleted, message: `Deleting from ${table}.` });
      }
    }
  }

  async #deleteBatch(tenant: string, table: string): Promise<number> {
    const text = "select mds.delete_tenant_rows($1::uuid, $2, $3) as deleted";
    const [row] = await this.#ask<{ deleted: bigint }>(text, [tenant, table, ROWS_PER_BATCH]);
    return Number(row!.deleted);
  }

  #ask<Row>(text: string, values: readonly unknown[]): Promise<Row[]> {
    const { signal } = this.#options;
    const scope = { ...this.#scope, role: "mds_admin" } as const;
    return withRetry(() => runAsRole<Row>(scope, { text, values }, signal), signal);
  }
}

function waitingFor(open: readonly string[]): string {
  return open.length === 1
    ? "Waiting for a transaction that began before."
    : `Waiting for ${open.length} transactions that began before.`;
}

function inUse(open: readonly string[]): StoreError {
  const named = open.slice(0, MAX_NAMED).join(", ");
  const more = open.length > MAX_NAMED ? ` and ${open.length - MAX_NAMED} more` : "";
  return new StoreError(
    "tenant_in_use",
    `Transactions that began before the tenant was marked are still open (${named}${more}); end them, and delete the tenant again.`,
  );
}
