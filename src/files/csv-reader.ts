/**
 * Reads CSV (RFC 4180, comma, a header) into rows under a dataset's column names. A bad record costs itself alone: a
 * quote that is never closed costs the line where it stands, and reading goes on at the next. Values stay text.
 * Written by hand because parsers at hand cannot go on after an unclosed quote: docs/decisions/csv-reader.md.
 */
import type { Rejection } from "../datasets/dataset.ts";
import { StoreError } from "../errors/store-error.ts";
import type { ColumnNames } from "./column-names.ts";
import { endsQuotedCell, readCsvCells } from "./csv-cells.ts";
import { type CsvPlan, planCsv } from "./csv-header.ts";
import { type LineBatch, MAX_LINE_BYTES, type UnreadableLine } from "./line-reader.ts";
import { emptyBatch, type RecordBatch } from "./record-batch.ts";

/** Longest record over several lines, in characters: no more than one line may have. */
const MAX_RECORD_CHARACTERS = MAX_LINE_BYTES;
/** Most lines of one record: text of that many lines is no cell, and an unclosed quote is found out before long. */
const MAX_RECORD_LINES = 10_000;

/**
 * Reads the records of a CSV file.
 *
 * @param fileName - How messages call the file.
 * @param headerIfNone - Names of the columns where the first line has none, which is when it begins with a number.
 * @throws StoreError `file_columns` or `usage` for its header (see `planCsv`); failures of the source, after all
 *   records before them.
 */
export async function* readCsv(
  lines: AsyncIterable<LineBatch>,
  columns: ColumnNames,
  fileName: string,
  headerIfNone?: readonly string[],
): AsyncGenerator<RecordBatch> {
  const records = new CsvRecords(columns, fileName, headerIfNone);
  let failure: { error: unknown } | undefined;
  try {
    for await (const batch of lines) yield records.read(batch);
  } catch (error) {
    failure = { error };
  }
  const last = records.finish();
  if (last.lines.length > 0 || last.rejects.length > 0) yield last;
  if (failure !== undefined) throw failure.error;
}

/** Lines since a quote was opened that is not closed yet. */
interface OpenRecord {
  readonly first: number;
  readonly lines: string[];
  characters: number;
}

/** Puts lines together to records. */
class CsvRecords {
  readonly #columns: ColumnNames;
  readonly #fileName: string;
  readonly #headerIfNone: readonly string[] | undefined;
  #plan: CsvPlan | undefined;
  #open: OpenRecord | undefined;
  #batch: RecordBatch = emptyBatch();

  constructor(columns: ColumnNames, fileName: string, headerIfNone: readonly string[] | undefined) {
    this.#columns = columns;
    this.#fileName = fileName;
    this.#headerIfNone = headerIfNone;
  }

  read(batch: LineBatch): RecordBatch {
    this.#batch = emptyBatch();
    let number = batch.first;
    for (const line of batch.lines) this.#readLine(line, number++, batch.hasNul);
    return this.#batch;
  }

  /** What is left when there are no more lines. */
  finish(): RecordBatch {
    this.#batch = emptyBatch();
    while (this.#open !== undefined) this.#giveUp(this.#open, "A quote is opened in this line and never closed.");
    return this.#batch;
  }

  #readLine(line: string | UnreadableLine, number: number, mayHaveNul: boolean): void {
    if (this.#open !== undefined) this.#continueRecord(this.#open, line, number);
    else if (typeof line !== "string") this.#unreadable(line, number);
    else if (isBlank(line)) return;
    else if (this.#plan === undefined) this.#begin(line, number, mayHaveNul);
    else if (line.includes('"')) this.#readQuoted(line, number, this.#plan);
    else if (mayHaveNul && line.includes("\0")) {
      this.#reject(number, line, "nul_in_text", "The line contains a NUL character.");
    } else this.#readPlain(line.endsWith("\r") ? line.slice(0, -1) : line, number, this.#plan);
  }

  #begin(line: string, number: number, mayHaveNul: boolean): void {
    if (this.#headerIfNone === undefined || !/^\s*"?-?\d/.test(line)) {
      this.#plan = this.#readHeader(line);
      return;
    }
    this.#plan = planCsv(this.#headerIfNone, this.#columns, this.#fileName);
    this.#readLine(line, number, mayHaveNul);
  }

  #readHeader(line: string): CsvPlan {
    const header = readCsvCells(withoutCr(line));
    if (header.kind === "cells") {
      return planCsv(
        header.cells.map((cell) => cell ?? ""),
        this.#columns,
        this.#fileName,
      );
    }
    throw this.#badHeader(header.kind === "open" ? "A quote is not closed." : header.reason);
  }

  /** The usual line, without any quote: cells are what stands between commas. */
  #readPlain(line: string, number: number, plan: CsvPlan): void {
    const { targets } = plan;
    const row = { ...plan.template };
    const last = targets.length - 1;
    let start = 0;
    for (let index = 0; index <= last; index++) {
      let end = line.indexOf(",", start);
      if (end < 0) end = line.length;
      if ((end === line.length) !== (index === last)) {
        this.#wrongCount(line.split(",").length, line, number, plan);
        return;
      }
      const target = targets[index];
      if (target !== undefined) row[target] = end === start ? null : line.slice(start, end);
      start = end + 1;
    }
    this.#batch.rows.push(row);
    this.#batch.lines.push(number);
  }

  #readQuoted(line: string, number: number, plan: CsvPlan): void {
    const record = readCsvCells(withoutCr(line));
    if (record.kind === "cells") this.#addCells(record.cells, line, number, plan);
    else if (record.kind === "wrong") this.#reject(number, line, "csv_invalid", record.reason);
    else this.#open = { first: number, lines: [line], characters: line.length };
  }

  #continueRecord(open: OpenRecord, line: string | UnreadableLine, number: number): void {
    if (typeof line !== "string") {
      this.#giveUp(open, `A quote is opened in this line and not closed before line ${number}, which cannot be read.`);
      this.#unreadable(line, number);
      return;
    }
    open.lines.push(line);
    open.characters += line.length + 1;
    if (open.characters > MAX_RECORD_CHARACTERS || open.lines.length > MAX_RECORD_LINES) {
      this.#giveUp(open, `A quote is opened in this line and not closed within ${open.lines.length} lines.`);
    } else if (endsQuotedCell(line)) this.#closeRecord(open, this.#plan!);
  }

  /** Two unclosed quotes can look like one cell of many lines; where the cells do not come out, they are taken apart. */
  #closeRecord(open: OpenRecord, plan: CsvPlan): void {
    const text = open.lines.join("\n");
    const record = readCsvCells(withoutCr(text));
    if (record.kind === "cells" && record.cells.length === plan.targets.length) {
      this.#open = undefined;
      this.#addCells(record.cells, text, open.first, plan);
    } else {
      const lines = `lines ${open.first} to ${open.first + open.lines.length - 1}`;
      this.#giveUp(open, `A quote is opened in this line, but ${lines} do not make a record.`);
    }
  }

  /**
   * Rejects the line where the record began and reads the lines after it anew. Of those only the last can open a
   * record again (a line with an even number of quotes never does), so no line is read more than three times.
   */
  #giveUp(open: OpenRecord, reason: string): void {
    this.#open = undefined;
    this.#reject(open.first, open.lines[0]!, "csv_invalid", reason);
    for (let index = 1; index < open.lines.length; index++) {
      this.#readLine(open.lines[index]!, open.first + index, true);
    }
  }

  #addCells(cells: readonly (string | null)[], raw: string, number: number, plan: CsvPlan): void {
    if (cells.length !== plan.targets.length) {
      this.#wrongCount(cells.length, raw, number, plan);
      return;
    }
    const row = { ...plan.template };
    for (const [index, target] of plan.targets.entries()) if (target !== undefined) row[target] = cells[index];
    this.#batch.rows.push(row);
    this.#batch.lines.push(number);
  }

  #wrongCount(count: number, raw: string, number: number, plan: CsvPlan): void {
    const wanted = plan.targets.length;
    this.#reject(number, raw, "csv_invalid", `The record has ${count} cells where the header has ${wanted}.`);
  }

  #unreadable(line: UnreadableLine, number: number): void {
    if (this.#plan === undefined) throw this.#badHeader(line.rejection.message);
    this.#batch.rejects.push({ line: number, rejection: line.rejection, raw: line.raw });
  }

  #badHeader(reason: string): StoreError {
    return new StoreError("file_columns", `The first line of ${this.#fileName} is no CSV header. ${reason}`);
  }

  #reject(number: number, line: string, code: Rejection["code"], message: string): void {
    this.#batch.rejects.push({ line: number, rejection: { code, message }, raw: withoutCr(line) });
  }
}

function isBlank(line: string): boolean {
  return line === "" || (line.charCodeAt(0) <= 0x20 && line.trim() === "");
}

function withoutCr(text: string): string {
  return text.endsWith("\r") ? text.slice(0, -1) : text;
}
