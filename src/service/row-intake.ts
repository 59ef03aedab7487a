/**
 * Accepts the rows of one body as a contiguous prefix: rows are checked, and handed on piece by piece, the next piece only
 * when all of the one before are durable. So at any moment every line up to `accepted_lines` is durable or was
 * rejected with its reason, and none behind it is. Memory is bounded by two pieces.
 */
import type { DatasetShape, Rejection } from "../datasets/dataset.ts";
import { RowCheck } from "../datasets/derive/row-check.ts";
import { StoreError } from "../errors/store-error.ts";
import type { RecordBatch } from "../files/record-batch.ts";

/** What became of a body's rows so far: members of every answer. */
export interface Acceptance {
  /** Number of the last line of which, and of all before it, the rows are durable or rejected; 0 before the first. */
  accepted_lines: number;
  readonly rejected: {
    count: number;
    /** The first hundred. */
    readonly first: { readonly line: number; readonly code: string; readonly reason: string }[];
  };
}

interface RowIntakeOptions {
  readonly dataset: DatasetShape;
  /**
   * Resolves when all rows are durable.
   * @throws StoreError whose `details.accepted` says how many, from the first, are.
   */
  readonly submit: (rows: readonly unknown[]) => Promise<void>;
}

/** As many as one batch for the database: enough for one fsync, few enough to be in memory twice for each request. */
const ROWS_PER_PIECE = 2_000;
/** Rows may be large: a batch of the reader holds about 64 KiB of them, or one of up to 4 MiB. */
const BATCHES_PER_PIECE = 16;
const MAX_LISTED_REJECTIONS = 100;

/** Lines that are handed on together. */
interface Piece {
  readonly rows: unknown[];
  /** Number of the line of each row. */
  readonly lines: number[];
  readonly rejects: { readonly line: number; readonly rejection: Rejection }[];
  lastLine: number;
  batches: number;
}

/** What a body brings when it brings nothing, or was not read. */
export function nothingAccepted(): Acceptance {
  return { accepted_lines: 0, rejected: { count: 0, first: [] } };
}

export class RowIntake {
  readonly acceptance: Acceptance = nothingAccepted();
  readonly #submit: RowIntakeOptions["submit"];
  readonly #check: RowCheck;
  #acceptedRows = 0;
  #piece = newPiece(0);
  #underWay: Promise<void> | undefined;
  #failure: StoreError | undefined;

  constructor({ dataset, submit }: RowIntakeOptions) {
    this.#submit = submit;
    this.#check = new RowCheck(dataset);
  }

  /** Rows that are durable. */
  get acceptedRows(): number {
    return this.#acceptedRows;
  }

  /**
   * Resolves when every row that was read is durable or rejected. Reads no further than it hands on.
   *
   * @throws What the source throws, after all rows before that are durable; else what `submit` throws. `acceptance` holds
   *   in any case.
   */
  async takeAll(batches: AsyncIterable<RecordBatch>): Promise<void> {
    let fault: { readonly cause: unknown } | undefined;
    try {
      for await (const batch of batches) {
        this.#add(batch);
        if (isFull(this.#piece)) await this.#underWay;
        if (this.#failure !== undefined) break;
        if (this.#underWay === undefined) this.#handOn();
      }
    } catch (cause) {
      fault = { cause };
    }
    await this.#underWay;
    this.#handOn();
    await this.#underWay;
    if (this.#failure !== undefined) throw this.#failure;
    if (fault !== undefined) throw fault.cause;
  }

  #add({ rows, lines, rejects }: RecordBatch): void {
    const piece = this.#piece;
    for (const { line, rejection } of rejects) piece.rejects.push({ line, rejection });
    for (const [at, row] of rows.entries()) {
      const rejection = this.#check.rejectionOf(row);
      if (rejection !== undefined) {
        piece.rejects.push({ line: lines[at]!, rejection });
        continue;
      }
      piece.rows.push(row);
      piece.lines.push(lines[at]!);
    }
    piece.lastLine = Math.max(piece.lastLine, lines.at(-1) ?? 0, rejects.at(-1)?.line ?? 0);
    piece.batches++;
  }

  /** Begins the submission of what was collected; after a failure nothing is handed on any more. */
  #handOn(): void {
    const piece = this.#piece;
    if (this.#failure !== undefined || piece.batches === 0) return;
    this.#piece = newPiece(piece.lastLine);
    this.#underWay = this.#deliver(piece).finally(() => {
      this.#underWay = undefined;
    });
  }

  async #deliver(piece: Piece): Promise<void> {
    try {
      if (piece.rows.length > 0) await this.#submit(piece.rows);
      this.#acceptedRows += piece.rows.length;
      this.#settle(piece, piece.lastLine);
    } catch (error) {
      const failure = asStoreError(error);
      const accepted = Number(failure.details["accepted"] ?? 0);
      this.#acceptedRows += accepted;
      const next = piece.lines[accepted];
      this.#settle(piece, next === undefined ? piece.lastLine : next - 1);
      this.#failure = new StoreError(failure.code, failure.message, { cause: failure });
    }
  }

  /** All lines up to this one are done. */
  #settle({ rejects }: Piece, line: number): void {
    const { rejected } = this.acceptance;
    for (const reject of rejects.sort((a, b) => a.line - b.line)) {
      if (reject.line > line) break;
      rejected.count++;
      if (rejected.first.length >= MAX_LISTED_REJECTIONS) continue;
      const { code, message } = reject.rejection;
      rejected.first.push({ line: reject.line, code, reason: message });
    }
    this.acceptance.accepted_lines = line;
  }
}

function newPiece(lastLine: number): Piece {
  return { rows: [], lines: [], rejects: [], lastLine, batches: 0 };
}

function isFull({ rows, batches }: Piece): boolean {
  return rows.length >= ROWS_PER_PIECE || batches >= BATCHES_PER_PIECE;
}

function asStoreError(cause: unknown): StoreError {
  return cause instanceof StoreError ? cause : new StoreError("internal", "Rows could not be accepted.", { cause });
}
