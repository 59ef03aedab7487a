/** A row that could not be stored, with why. */
import type { DatasetName } from "../../datasets/registry.ts";
import type { ErrorCode } from "../../errors/codes.ts";

/** What the coordinator says of a row that it gives up. */
export interface DeadLetter {
  /** When the row was accepted: milliseconds since the epoch. */
  readonly acceptedAt: number;
  /** UUID of the tenant. */
  readonly tenantId: string;
  readonly dataset: DatasetName;
  readonly code: ErrorCode;
  /** One sentence. */
  readonly error: string;
  /** How often writing was tried. */
  readonly attempts: number;
  /** Whatever else helps people, such as the coordinator's name; JSON. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly row: unknown;
}
