/**
 * New rows straight into a dataset's table, by its owner. What the upsert function checks and writes besides the rows is
 * checked and written here, in the same transaction: that the tenant is there and every series is its own, and the marks
 * for the aggregates. A batch that meets a stored key goes through the upsert. While one batch is copied the next one
 * may be copied beside it, where they have no key in common; they are committed in their order.
 */
import { setTimeout as wait } from "node:timers/promises";
import { copyAsOwner, type OwnerCopy, type OwnerScope } from "../database/owner-copy.ts";
import type { Statement } from "../database/session.ts";
import type { DatasetShape } from "../datasets/dataset.ts";
import { encodeInt4Array, encodeTimeArray } from "../datasets/derive/codec.ts";
import { copyColumns, encodeCopyRows, hasBinaryRows } from "../datasets/derive/encode-rows.ts";
import type { RowGroup } from "../datasets/derive/fold-batch.ts";
import type { RowBatch } from "../datasets/derive/row-batch.ts";
import { requiredValues } from "../datasets/derive/sql-upsert.ts";
import { StoreError } from "../errors/store-error.ts";
import { KeyRanges } from "./key-ranges.ts";
import type { PreparedCopy, RowCopy } from "./write-batch.ts";

const UNIQUE_VIOLATION = "23505";
/** How long a batch that is copied may wait for the one ahead of it, which mostly takes a tenth of a second. */
const LONGEST_LEAD_MS = 2_000;
/** One-minute bars that a mark may name for each that was written, as store.mark_bars has it. */
const BOX_FILL = 8;

interface Admission {
  readonly is_active: boolean;
  /** Of the batch's series those that are the tenant's. */
  readonly own: number;
  /** Of these those of which there are aggregates. */
  readonly marked: number[] | null;
  /** Whether one mark for all of the batch names little that is not in it. */
  readonly is_box: boolean | null;
}

/** A batch as it is copied. */
interface Load extends Omit<OwnerCopy<Admission>, "mayCommit"> {
  readonly keys: KeyRanges;
  /** Whether these are all rows of the batch, so that nothing of it is left to be written when they are stored. */
  readonly isWhole: boolean;
  readonly rows: number;
}

/** What the batch behind has to know of one that is being copied. */
class CopyUnderWay {
  readonly keys: KeyRanges;
  readonly #stored = Promise.withResolvers<boolean>();
  hasEnded = false;

  constructor(keys: KeyRanges) {
    this.keys = keys;
  }

  /** Whether its rows went in; false where they have to go another way. */
  get stored(): Promise<boolean> {
    return this.#stored.promise;
  }

  end(isStored: boolean): void {
    this.hasEnded = true;
    this.#stored.resolve(isStored);
  }
}

/**
 * Two loads of the same keys in opposite order would else wait for each other for ever: the batch ahead for keys, and this
 * one for its turn, of which the database knows nothing.
 */
function storedInTime(ahead: CopyUnderWay): Promise<boolean> {
  return Promise.race([ahead.stored, wait(LONGEST_LEAD_MS, false, { ref: false })]);
}

export class TrustedCopy implements RowCopy {
  readonly #owner: OwnerScope;
  readonly #tenantId: string;
  readonly #dataset: DatasetShape;
  /** The values that a new row has to bring. */
  readonly #required: number;
  /** A refused COPY leaves its rows behind as dead ones, so after one the upsert goes on until all is new again. */
  #isNewGround = true;
  #copied = 0;
  /** The copy whose batch is the next to be committed. */
  #leading: CopyUnderWay | undefined;

  /** @throws StoreError `usage` for a dataset whose values have no binary form here. */
  constructor(owner: OwnerScope, tenantId: string, dataset: DatasetShape) {
    if (!hasBinaryRows(dataset)) {
      throw new StoreError(
        "usage",
        `${dataset.name} cannot be loaded as trusted, since its decimals go through the upsert; load it without.`,
      );
    }
    this.#owner = owner;
    this.#tenantId = tenantId;
    this.#dataset = dataset;
    const required = requiredValues(dataset);
    this.#required = dataset.values.reduce(
      (bits, one, slot) => (required.includes(one) ? bits | (1 << slot) : bits),
      0,
    );
  }

  /** Rows that were stored in this way so far. */
  get copied(): number {
    return this.#copied;
  }

  prepare(batch: RowBatch, ids: Int32Array, group: RowGroup): PreparedCopy | undefined {
    if (!this.#isNewGround || (group.present & this.#required) !== this.#required) return undefined;
    const keys = new KeyRanges(batch, ids, group);
    const isWhole = group.rows.length === batch.size;
    const load = { keys, isWhole, rows: group.rows.length, ...this.#statements(batch, ids, group, keys) };
    return (turn, signal) => {
      const came = turn.then(
        () => true,
        () => false, // Seen by whoever gave it.
      );
      return this.#copy(load, came, signal);
    };
  }

  /** @param turn - Whether the batches before this one are stored. */
  async #copy(load: Load, turn: Promise<boolean>, signal?: AbortSignal): Promise<boolean> {
    const ahead = this.#leading;
    // One that waits for a key of the batch behind it would wait for ever, as that one waits for its turn.
    const follows = ahead !== undefined && load.isWhole && !ahead.keys.meets(load.keys);
    if (!follows && !(await turn)) return false;
    if (!this.#isNewGround) return false;
    const mayCommit = async (): Promise<boolean> => !follows || ((await storedInTime(ahead)) && turn);
    const underWay = new CopyUnderWay(load.keys);
    if (load.isWhole) void turn.then(() => this.#lead(underWay));
    let isStored = false;
    try {
      isStored = await copyAsOwner<Admission>(this.#owner, { ...load, mayCommit }, signal);
      if (isStored) this.#copied += load.rows;
    } catch (error) {
      if (!(error instanceof StoreError) || error.details["sqlstate"] !== UNIQUE_VIOLATION) throw error;
      this.#isNewGround = false;
      return false;
    } finally {
      underWay.end(isStored);
      if (this.#leading === underWay) this.#leading = undefined;
    }
    // Undone because the batch ahead was, or waits too long: it may need what this one had locked.
    return isStored || ((await turn) && this.#copy(load, turn, signal));
  }

  #lead(copy: CopyUnderWay): void {
    if (!copy.hasEnded) this.#leading = copy;
  }

  #statements(batch: RowBatch, ids: Int32Array, group: RowGroup, { seriesIds, span: times }: KeyRanges) {
    const { name } = this.#dataset;
    const span = encodeTimeArray(Float64Array.from(times), Int32Array.of(0, 1));
    return {
      before: this.#admission(seriesIds, span, group.rows.length),
      copy: `copy store.${name}_data (${copyColumns(this.#dataset, group.present).join(", ")}) from stdin (format binary)`,
      pieces: () => encodeCopyRows(batch, ids, group),
      after: ([answer]: readonly Admission[]): Statement | undefined => {
        if (!answer!.is_active) throw new StoreError("tenant_refused", "The tenant is being deleted, or is gone.");
        if (answer!.own < seriesIds.length) {
          throw new StoreError("series_unknown", "A series of this batch does not exist.");
        }
        const { marked, is_box: isBox } = answer!;
        if (marked === null) return undefined;
        return isBox ? boxStatement(name, marked, span) : markStatement(marked, span, batch, ids, group);
      },
    };
  }

  noteUpserted(rows: number, inserted: number): void {
    this.#isNewGround = rows === inserted;
  }

  #admission(seriesIds: readonly number[], span: Buffer, rows: number): Statement {
    const { name, aggregated } = this.#dataset;
    const marked =
      aggregated === undefined
        ? "null::int4[]"
        : `array_agg(s.series_id) filter (where s.${aggregated.dimension} = '${aggregated.from}')`;
    const names = aggregated === undefined ? 0 : `store.${name}_marked(o.marked, p.span[1], p.span[2])`;
    return {
      text: `select exists (select from store.tenants t where t.id = $1 and t.state = 'active') as is_active, o.own, o.marked,
          ${names} <= ${BOX_FILL} * $4::int4 as is_box
        from (select $3::timestamptz[] as span) p, (
          select count(*)::int4 as own, ${marked} as marked
          from store.${name}_series s where s.tenant_id = $1 and s.series_id = any ($2::int4[])
        ) o`,
      values: [this.#tenantId, seriesIds, span, rows],
    };
  }
}

/** One mark, which needs no keys. */
function boxStatement(name: string, marked: readonly number[], span: Buffer): Statement {
  return {
    text: `insert into store.${name}_dirty (series_ids, min_ts, max_ts)
      select $1::int4[], s.span[1], s.span[2] from (select $2::timestamptz[] as span) s`,
    values: [marked, span],
  };
}

/** As many marks as the rows need. */
function markStatement(
  marked: readonly number[],
  span: Buffer,
  batch: RowBatch,
  ids: Int32Array,
  { rows }: RowGroup,
): Statement {
  return {
    text: `select store.mark_${batch.dataset.name}($1::int4[], s.span[1], s.span[2], $3::int4[], $4::timestamptz[])
      from (select $2::timestamptz[] as span) s`,
    values: [marked, span, encodeInt4Array(ids, batch.seriesAt, rows), encodeTimeArray(batch.times, rows)],
  };
}
