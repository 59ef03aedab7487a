/** Tables for people: a header, columns aligned by spaces, nothing around them. */

export interface TableColumn {
  readonly name: string;
  /** Numbers stand to the right. */
  readonly isNumber?: boolean;
}

type Cells = readonly string[];

/** Widths that fit the header and the given rows. */
export function tableWidths(columns: readonly TableColumn[], rows: readonly Cells[]): number[] {
  return columns.map(({ name }, at) => rows.reduce((widest, row) => Math.max(widest, row[at]!.length), name.length));
}

/** The header, with its line feed. */
export function tableHead(columns: readonly TableColumn[], widths: readonly number[]): string {
  return tableLine(
    columns,
    widths,
    columns.map(({ name }) => name),
  );
}

/** A row, with its line feed. A cell that is too wide shifts the rest of its line. */
export function tableLine(columns: readonly TableColumn[], widths: readonly number[], cells: Cells): string {
  const padded = cells.map((cell, at) =>
    columns[at]!.isNumber ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!),
  );
  return `${padded.join("  ").trimEnd()}\n`;
}

/** A whole table. */
export function tableText(columns: readonly TableColumn[], rows: readonly Cells[]): string {
  const widths = tableWidths(columns, rows);
  return tableHead(columns, widths) + rows.map((row) => tableLine(columns, widths, row)).join("");
}
