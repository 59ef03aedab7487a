/**
 * One moment of a tenant's data: everything read through it agrees, whatever is written meanwhile. Holds one connection
 * and keeps the server from clearing away what it still sees, so close it soon.
 */
import { openReadSession, type ReadSession, type TenantScope } from "../database/session.ts";
import type { DatasetShape, StoredRow } from "../datasets/dataset.ts";
import { type RowPage, type RowReadOptions, readPages, readRows } from "./read.ts";
import type { AnyWindowQuery, ReadOptions, WindowQuery } from "./window.ts";

export class StoreSnapshot {
  readonly #scope: TenantScope;
  readonly #session: ReadSession;

  private constructor(scope: TenantScope, session: ReadSession) {
    this.#scope = scope;
    this.#session = session;
  }

  /** @internal Use `store.snapshot()`. */
  static async open(scope: TenantScope, signal?: AbortSignal): Promise<StoreSnapshot> {
    return new StoreSnapshot(scope, await openReadSession(scope, signal));
  }

  /** As `read` of the dataset's client; one reading at a time. */
  read<S extends DatasetShape>(
    dataset: S,
    query: WindowQuery<S>,
    options: Omit<RowReadOptions, "session" | "storedOnly"> = {},
  ): AsyncGenerator<StoredRow<S>[]> {
    return readRows({ scope: this.#scope, dataset }, query, { ...options, session: this.#session });
  }

  /** @internal Rows that are stored as pages of columns, for files. */
  readPages(dataset: DatasetShape, query: AnyWindowQuery, options: ReadOptions = {}): AsyncGenerator<RowPage> {
    const target = { scope: this.#scope, dataset };
    return readPages(target, query as WindowQuery<DatasetShape>, {
      ...options,
      session: this.#session,
      storedOnly: true,
    });
  }

  /** Gives the connection back. */
  close(): Promise<void> {
    return this.#session.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
