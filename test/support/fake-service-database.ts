/**
 * A stand-in for the database as the service sees it: a remote peer that can be away, hang, or fail to migrate, and
 * counts what it is asked.
 */
import type { SchemaVersion } from "../../src/contracts/schema-version.ts";
import { StoreError } from "../../src/errors/store-error.ts";
import type { ServiceDatabase } from "../../src/service/service-database.ts";

const MIGRATIONS = 2;

export class FakeServiceDatabase implements ServiceDatabase {
  /** `away` refuses at once, `hanging` never answers and does not heed the signal. */
  mode: "up" | "away" | "hanging" = "up";
  applied = 0;
  checksumOk = true;
  migrationFault: StoreError | undefined;
  readonly calls = { ping: 0, schemaVersion: 0, migrate: 0, close: 0 };
  readonly #held: (() => void)[] = [];
  #holding = false;

  async ping(): Promise<void> {
    this.calls.ping++;
    await this.#answer();
  }

  async schemaVersion(): Promise<SchemaVersion> {
    this.calls.schemaVersion++;
    await this.#answer();
    if (this.#holding) await new Promise<void>((release) => this.#held.push(release));
    return {
      version: this.applied,
      applied_at: this.applied === 0 ? null : "2026-01-01T00:00:00.000000Z",
      pending: MIGRATIONS - this.applied,
      checksum_ok: this.checksumOk,
      engine: "plain",
      engine_version: "18.4",
    };
  }

  async migrate(): Promise<{ applied: number }> {
    this.calls.migrate++;
    await this.#answer();
    if (this.migrationFault) throw this.migrationFault;
    const applied = MIGRATIONS - this.applied;
    this.applied = MIGRATIONS;
    return { applied };
  }

  /** There is no pool to give. */
  async admin(): Promise<never> {
    await this.#answer();
    throw new StoreError("database_unavailable", "The fake database has no tables.");
  }

  poolCounts(): { inUse: number; idle: number; waiting: number } {
    return { inUse: 0, idle: 1, waiting: 0 };
  }

  async close(): Promise<void> {
    this.calls.close++;
    if (this.mode === "hanging") await new Promise(() => {});
  }

  /** From now on `schemaVersion` waits for `release`. */
  hold(): void {
    this.#holding = true;
  }

  release(): void {
    this.#holding = false;
    for (const release of this.#held.splice(0)) release();
  }

  async #answer(): Promise<void> {
    if (this.mode === "hanging") await new Promise(() => {});
    if (this.mode === "away") {
      const cause = new Error("connect ECONNREFUSED postgres://mds:hunter2@10.0.0.7:5432");
      throw new StoreError("database_unavailable", `The database does not answer: ${cause.message}`, { cause });
    }
  }
}
