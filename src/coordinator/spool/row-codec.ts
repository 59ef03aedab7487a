/**
 * A row as one record of the spool: an array of tenant, dataset and row as typed JSON, in UTF-8. When it was accepted is
 * kept by the log itself. One record a row: it costs a microsecond, and blocks of rows would save a third of that only.
 */
import { DATASETS, type DatasetName } from "../../datasets/registry.ts";
import { StoreError } from "../../errors/store-error.ts";
import { parseTypedJson, typedJson } from "../typed-json.ts";

/** A row with whom it belongs to. */
export interface SpooledRow {
  /** UUID of the tenant. */
  readonly tenantId: string;
  readonly dataset: DatasetName;
  /** As it was submitted, valid or not. */
  readonly row: unknown;
}

/** Never fails: what JSON cannot hold is kept in a form that validation rejects later. */
export function encodeSpooledRow({ tenantId, dataset, row }: SpooledRow): Uint8Array {
  return Buffer.from(`["${tenantId}","${dataset}",${typedJson(row)}]`);
}

/** @throws StoreError `spool_damaged` for bytes that are no such record. */
export function decodeSpooledRow(record: Uint8Array): SpooledRow {
  const text = Buffer.from(record.buffer, record.byteOffset, record.byteLength).toString("utf8");
  try {
    const [tenantId, dataset, row] = parseTypedJson(text) as [string, DatasetName, unknown];
    if (typeof tenantId === "string" && Object.hasOwn(DATASETS, dataset)) return { tenantId, dataset, row };
  } catch (cause) {
    throw new StoreError("spool_damaged", "A record of the spool cannot be read as a row.", { cause });
  }
  throw new StoreError("spool_damaged", "A record of the spool is of a dataset that this version does not know.");
}
