/**
 * A row as one record of the spool: the tenant, the dataset and the row as typed JSON. When it was accepted is kept by
 * the log itself.
 */
import type { DatasetName } from "../../datasets/registry.ts";
import { StoreError } from "../../errors/store-error.ts";

/** A row with whom it belongs to. */
export interface SpooledRow {
  /** UUID of the tenant. */
  readonly tenantId: string;
  readonly dataset: DatasetName;
  /** As it was submitted, valid or not. */
  readonly row: unknown;
}

/** Never fails: what JSON cannot hold is kept in a form that validation rejects later. */
export function encodeSpooledRow(_row: SpooledRow): Uint8Array {
  throw new StoreError("internal", "Not there yet.");
}

/** @throws StoreError `spool_damaged` for bytes that are no such record. */
export function decodeSpooledRow(_record: Uint8Array): SpooledRow {
  throw new StoreError("internal", "Not there yet.");
}
