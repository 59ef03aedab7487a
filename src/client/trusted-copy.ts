/**
 * New rows straight into a dataset's table, by its owner. What the upsert function checks and writes besides the rows is
 * checked and written here, in the same transaction: that the tenant is there and every series is its own, and the marks
 * for the aggregates. A batch that meets a stored key goes through the upsert.
 */
import { copyAsOwner, type OwnerScope } from "../database/owner-copy.ts";
import type { Statement } from "../database/session.ts";
import type { DatasetShape } from "../datasets/dataset.ts";
import { encodeInt4Array, encodeTimeArray } from "../datasets/derive/codec.ts";
import { copyColumns, encodeCopyRows, hasBinaryRows } from "../datasets/derive/encode-rows.ts";
import type { RowGroup } from "../datasets/derive/fold-batch.ts";
import type { RowBatch } from "../datasets/derive/row-batch.ts";
import { requiredValues } from "../datasets/derive/sql-upsert.ts";
import { StoreError } from "../errors/store-error.ts";
import type { PreparedCopy, RowCopy } from "./write-batch.ts";

const UNIQUE_VIOLATION = "23505";
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

export class TrustedCopy implements RowCopy {
  readonly #owner: OwnerScope;
  readonly #tenantId: string;
  readonly #dataset: DatasetShape;
  /** The values that a new row has to bring. */
  readonly #required: number;
  /** A refused COPY leaves its rows behind as dead ones, so after one the upsert goes on until all is new again. */
  #isNewGround = true;
  #copied = 0;

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
    const { name } = this.#dataset;
    const span = spanOf(batch, group);
    const seriesIds = [...new Set(Int32Array.from(group.rows, (row) => ids[batch.seriesAt[row]!]!))];
    const load = {
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
    return async (signal) => {
      try {
        await copyAsOwner<Admission>(this.#owner, load, signal);
        this.#copied += group.rows.length;
        return true;
      } catch (error) {
        if (!(error instanceof StoreError) || error.details["sqlstate"] !== UNIQUE_VIOLATION) throw error;
        this.#isNewGround = false;
        return false;
      }
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

/** The first time of a group and its last, as timestamptz[]. */
function spanOf(batch: RowBatch, { rows }: RowGroup): Buffer {
  let [first, last] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const row of rows) {
    const time = batch.times[row]!;
    if (time < first) first = time;
    if (time > last) last = time;
  }
  return encodeTimeArray(Float64Array.of(first, last), Int32Array.of(0, 1));
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
