/**
 * A PostgreSQL of its own behind a proxy, a producer process, the oracle, and what faults need of them. Everything is in
 * a temporary folder and gone after `close`.
 */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import pg from "pg";
import { migrateUp } from "../../src/database/migrator.ts";
import type { SeededRandom } from "../simulation/seeded-random.ts";
import { type DatabaseProxy, startDatabaseProxy } from "../support/tcp-proxy.ts";
import { startThrowawayCluster, type ThrowawayCluster } from "../support/throwaway-cluster.ts";
import { type BadWebhook, startBadWebhook } from "./bad-webhook.ts";
import { Ledger, type Violation } from "./ledger.ts";
import { LetterReader } from "./letter-reader.ts";
import { OracleReader } from "./oracle.ts";
import { ProducerHandle } from "./producer-handle.ts";
import type { Answer, Life, Load } from "./producer-messages.ts";
import { DATASET_ORDER, refusalSql, type StoredRow, storedSql } from "./sample-rows.ts";
import { mountSmallDisk, type SmallDisk } from "./small-disk.ts";

/** What a write may fail with here. */
const EXPECTED_FAILURES: ReadonlySet<string> = new Set([
  "constraint_violated",
  "database_conflict",
  "database_overloaded",
  "database_refused",
  "database_unavailable",
  "deadline_exceeded",
  "shutting_down",
  "tenant_refused",
]);
/** An accepted row that is not stored by then is stuck. */
const SETTLE_MS = 90_000;
/** A segment, the acknowledgements, a letter file, and one of them being changed. */
const MAX_OPEN_FILES = 4;
const OPEN_ATTEMPTS = 200;
const OPEN_PAUSE_MS = 50;
/** Place of a tenant that does not exist. */
const NOBODY = 2;
export const LOGIN = "mds_service";

type LifeOptions = Partial<Life> & { readonly seed?: number };

export class Laboratory {
  readonly cluster: ThrowawayCluster;
  readonly proxy: DatabaseProxy;
  readonly ledger = new Ledger();
  /** UUIDs; the third is of nobody. */
  readonly tenants: string[];
  /** Undefined where it takes rights that this process lacks. */
  readonly smallDisk: SmallDisk | undefined;
  readonly #folder: string;
  readonly #oracle: OracleReader;
  readonly #letters: LetterReader;
  readonly webhook: BadWebhook;
  #producer: ProducerHandle | undefined;
  #spare: ProducerHandle | undefined;
  #life: Life | undefined;
  #lives = 0;
  #series = 1_000;
  /** Where rows may wait that a life left. */
  #spoolFolder: string | undefined;
  /** The first number that is not covered by a check. */
  #checkedUpTo = 1;
  /** Rows that are stored. */
  stored = 0;
  /** Writes that failed, by their error's code. */
  readonly failures: Record<string, number> = {};
  readonly #reportedFailures: Record<string, number> = {};
  deaths = 0;

  private constructor(parts: {
    cluster: ThrowawayCluster;
    proxy: DatabaseProxy;
    tenants: string[];
    folder: string;
    smallDisk: SmallDisk | undefined;
    webhook: BadWebhook;
  }) {
    this.cluster = parts.cluster;
    this.proxy = parts.proxy;
    this.tenants = parts.tenants;
    this.smallDisk = parts.smallDisk;
    this.#folder = parts.folder;
    this.webhook = parts.webhook;
    this.#oracle = new OracleReader(join(parts.folder, "oracle"));
    const homes = [parts.folder, ...(parts.smallDisk === undefined ? [] : [parts.smallDisk.folder])];
    this.#letters = new LetterReader(homes.map((home) => join(home, "letters")));
  }

  static async open(): Promise<Laboratory> {
    const folder = mkdtempSync(join(tmpdir(), "mds-faults-"));
    chmodSync(folder, 0o711);
    const cluster = await startThrowawayCluster();
    await migrateUp({ adminUrl: cluster.adminUrl, serviceUrl: cluster.url });
    const admin = new pg.Client({ connectionString: cluster.adminUrl });
    await admin.connect();
    // The server is killed, but never the machine: what it wrote stays, if only it has written it.
    for (const setting of ["synchronous_commit = on", "deadlock_timeout = '50ms'"])
      await admin.query(`alter system set ${setting}`);
    await admin.query("select pg_reload_conf()");
    for (const statement of refusalSql) await admin.query(statement);
    const { rows } = await admin.query<{ id: string }>(
      "select id::text from store.tenants union all select mds.create_tenant('other', 'Other')::text",
    );
    await admin.end();
    const laboratory = new Laboratory({
      cluster,
      proxy: await startDatabaseProxy(cluster.url),
      tenants: [...rows.map(({ id }) => id), "00000000-0000-4000-8000-000000000000"],
      folder,
      smallDisk: await mountSmallDisk(join(folder, "disk")),
      webhook: await startBadWebhook(),
    });
    laboratory.ledger.wipe({ isOf: ([, tenant]) => tenant === NOBODY, upTo: 0, isForGood: true });
    return laboratory;
  }

  async close(): Promise<void> {
    this.#producer?.kill();
    this.#spare?.kill();
    this.webhook.close();
    await this.proxy.close();
    await this.cluster.stop();
    await this.smallDisk?.unmount();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  // --- The producer ---

  get producer(): ProducerHandle {
    return this.#producer!;
  }

  get life(): Life | undefined {
    return this.#life;
  }

  get isAlive(): boolean {
    return this.#producer?.isAlive === true && this.#life !== undefined;
  }

  /** A coordinator in a process that runs; tried again while it cannot be opened because of a fault. */
  async openLife(random: SeededRandom, options: LifeOptions = {}): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.tryOpen(random, options);
      if (answer?.failed === undefined && answer !== undefined) return;
      if (attempt === OPEN_ATTEMPTS) throw new Error(`The coordinator cannot be opened: ${answer?.failed?.message}`);
      if (answer !== undefined) await wait(OPEN_PAUSE_MS);
      else options = { ...options, crash: undefined };
    }
  }

  /** Undefined when the process died over it. */
  async tryOpen(random: SeededRandom, options: LifeOptions = {}): Promise<Answer | undefined> {
    if (this.#producer?.isAlive !== true) {
      this.#producer = this.#spare?.isAlive === true ? this.#spare : this.#fork();
      this.#spare = this.#fork();
    }
    const life = { ...this.#newLife(random), ...options };
    this.ledger.begin(life.id, life.spoolFolder === undefined);
    this.#spoolFolder = life.spoolFolder ?? this.#spoolFolder;
    const answer = await this.#producer.send({ do: "open", life });
    if (answer === undefined) this.died(life);
    else if (answer.failed === undefined) this.#life = life;
    return answer;
  }

  /** The usual one. */
  get spoolFolder(): string {
    return join(this.#folder, "spool");
  }

  #newLife(random: SeededRandom): Life {
    return {
      id: ++this.#lives,
      seed: random.whole(1, 1e9),
      spoolFolder: this.spoolFolder,
      lettersFolder: join(this.#folder, "letters"),
      url: this.proxy.url,
      segmentBytes: random.pick([4_000, 16_000, 64_000, 1_000_000]),
      maxSpoolBytes: random.pick([1_048_576, 8_388_608]),
      workers: random.whole(1, 4),
      batchRows: random.pick([5, 20, 100]),
      flushIntervalMs: random.pick([1, 10, 40]),
      webhook: undefined,
      crash: undefined,
    };
  }

  #fork(): ProducerHandle {
    const folders = ["spool", "letters"].map((name) => join(this.#folder, name));
    const disk =
      this.smallDisk === undefined ? [] : ["spool", "letters"].map((name) => join(this.smallDisk!.folder, name));
    const parameters = [join(this.#folder, "oracle"), join(this.#folder, "trash"), ...folders, ...disk];
    return new ProducerHandle(join(this.#folder, "cache"), parameters, ({ failures }) => {
      for (const [code, times] of Object.entries(failures)) this.failures[code] = (this.failures[code] ?? 0) + times;
    });
  }

  /** Lets the producer submit rows, and waits until it has begun. */
  async produce(random: SeededRandom, load: Partial<Load> = {}): Promise<void> {
    this.readOracle();
    await this.producer.send({
      do: "produce",
      load: {
        seed: random.whole(1, 1e9),
        rows: random.whole(100, 500),
        callers: random.whole(1, 8),
        pauseMs: random.pick([0, 10, 40]),
        fresh: 0.4,
        tenants: this.tenants,
        writeFor: random.chance(0.2) ? [0, 1, 2] : [0, 1],
        datasets: [...DATASET_ORDER.keys()],
        series: undefined,
        poison: 0.01,
        firstNumber: this.ledger.lastNumber + 1,
        ...load,
      },
    });
  }

  /** Takes note of what producers have said. */
  readOracle(): void {
    this.ledger.take(this.#oracle.readNew());
  }

  /** A series that no row has. */
  nextSeries(): number {
    return this.#series++;
  }

  /** Ends the process at once. */
  async kill(): Promise<void> {
    this.#producer?.kill();
    await this.#producer?.gone;
    this.died(this.#life);
  }

  /** Takes note of a process that is gone. */
  died(life = this.#life): void {
    this.deaths++;
    if (life !== undefined) this.ledger.died(life.id);
    if (this.#producer !== undefined) this.ledger.forgive(this.#producer.pid);
    this.#life = undefined;
  }

  /** Takes note of a process that ended in order. */
  left(): void {
    this.#life = undefined;
  }

  /** Stops the coordinator in order; nothing of it may stay. */
  async stopLife(options: { readonly drain?: boolean; readonly timeoutMs?: number }): Promise<Violation[]> {
    if (!this.isAlive) return [];
    const answer = await this.producer.send({ do: "stop", options });
    if (answer === undefined) {
      this.died();
      return [{ kind: "stuck", text: "The process died over a stop." }];
    }
    const { id, spoolFolder } = this.#life!;
    this.#life = undefined;
    if (answer.failed !== undefined) return [{ kind: "stuck", text: `Stop failed: ${answer.failed.message}` }];
    const violations: Violation[] = [];
    if (answer.openFiles > 0) violations.push({ kind: "left open", text: `${answer.openFiles} files after a stop.` });
    if (answer.stopped!.lost > 0) violations.push({ kind: "lost", text: `Stop says so: ${answer.stopped!.lost}.` });
    if (spoolFolder !== undefined && isLocked(spoolFolder)) {
      violations.push({ kind: "left open", text: `Life ${id} left its lock.` });
    }
    return violations;
  }

  /** Another process tries to open the same spool. */
  async openSecond(random: SeededRandom): Promise<Answer | undefined> {
    this.#spare ??= this.#fork();
    const life = { ...this.#newLife(random), spoolFolder: this.#life!.spoolFolder };
    return this.#spare.send({ do: "open", life });
  }

  // --- The database ---

  /** One statement as the superuser. */
  async sql<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]> {
    const client = await this.session();
    try {
      return (await client.query<Row>(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  /** A session of the superuser; whoever opens it ends it. */
  async session(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.cluster.adminUrl, application_name: "laboratory" });
    client.on("error", () => undefined); // Its server may be killed.
    await client.connect();
    return client;
  }

  /** While something is done, nobody can write bars, signals and options. */
  async withTablesLocked<T>(work: () => Promise<T>): Promise<T> {
    const session = await this.session();
    await session.query("begin");
    await session.query("lock table store.bars_data, store.signals_data, store.options_data in access exclusive mode");
    try {
      return await work();
    } finally {
      await session.query("rollback");
      await session.end();
    }
  }

  /** Ends the coordinator's connections. */
  async terminate(): Promise<void> {
    await this.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", [LOGIN]);
  }

  // --- Around it ---

  /** Drains everything and compares. `isFull`: all keys, not only those that may have changed. */
  async check(random: SeededRandom, isFull = false): Promise<Violation[]> {
    const violations: Violation[] = [];
    for (;;) {
      if (!this.isAlive) await this.openLife(random, { spoolFolder: this.#spoolFolder });
      await this.producer.send({ do: "arm", crash: undefined });
      const answer = await this.producer.send({ do: "flush" }, SETTLE_MS);
      if (answer === "late") {
        violations.push({ kind: "stuck", text: `Nothing moved for ${SETTLE_MS} ms.` });
        await this.kill();
        continue;
      }
      if (answer === undefined) {
        this.died();
        continue;
      }
      if (answer.failed !== undefined) violations.push({ kind: "stuck", text: answer.failed.message });
      if (answer.depth > 0) violations.push({ kind: "lost", text: `${answer.depth} records stay in the spool.` });
      if (answer.openFiles > MAX_OPEN_FILES) violations.push({ kind: "left open", text: `${answer.openFiles} files.` });
      break;
    }
    this.readOracle();
    violations.push(...this.#unexpectedFailures());
    const letters = this.#letters.readNew(violations);
    violations.push(...this.ledger.check(this.tenants, await this.#readStored(isFull), letters));
    this.#checkedUpTo = this.ledger.lastNumber + 1;
    return violations;
  }

  #unexpectedFailures(): Violation[] {
    return Object.entries(this.failures)
      .filter(([code, times]) => !EXPECTED_FAILURES.has(code) && this.#reportedFailures[code] !== times)
      .map(([code, times]) => {
        this.#reportedFailures[code] = times;
        return { kind: "wrong", text: `Writing failed with ${code}, which no fault here explains.` };
      });
  }

  async #readStored(isFull: boolean) {
    const stored = new Map<(typeof DATASET_ORDER)[number], StoredRow[]>();
    const client = await this.session();
    for (const dataset of DATASET_ORDER) {
      const { rows } = await client.query<StoredRow>(storedSql(dataset), [0, isFull ? 0 : this.#checkedUpTo]);
      stored.set(dataset, rows);
    }
    await client.end();
    if (isFull) this.stored = [...stored.values()].reduce((sum, { length }) => sum + length, 0);
    return stored;
  }
}

function isLocked(folder: string): boolean {
  const owners = readdirSync(folder).filter((name) => name.startsWith("owner-"));
  return owners.some((name) => readFileSync(join(folder, name)).length > 0);
}
