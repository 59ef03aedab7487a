/** `mds write bar|option|fundamental|news|signal --field value...`: one row, with a flag for each of its fields. */
import type { Command } from "commander";
import { columnsOf, type DatasetShape } from "../../datasets/dataset.ts";
import { RowBatch } from "../../datasets/derive/row-batch.ts";
import { type DatasetName, datasetNamed } from "../../datasets/registry.ts";
import { timeZone } from "../../datasets/values/time-zone.ts";
import { StoreError } from "../../errors/store-error.ts";
import { withStore } from "../connect.ts";
import { addExamples, addJsonFlag, addTenantFlags, flagOf, optionKeyOf, type TenantFlags } from "../flags.ts";
import { EXIT, type Shell } from "../shell.ts";

interface WriteFlags extends TenantFlags {
  readonly clear?: string;
  readonly timezone?: string;
  readonly json?: boolean;
}

/** What one row of each dataset is called, with an example. */
const ROWS: Readonly<Record<string, readonly [dataset: DatasetName, example: string]>> = {
  bar: [
    "bars",
    "--vendor x --symbol A --timeframe 1d --ts 2024-01-02T00:00:00Z --open 1 --high 2 --low 0.5 --close 1.5 --volume 10",
  ],
  option: [
    "options",
    "--vendor x --symbol A --expiry 2024-06-21 --option-type C --strike 150 --ts 2024-01-02T15:30:00Z --bid 1.2",
  ],
  fundamental: ["fundamentals", "--vendor x --symbol A --asof 2024-03-31T00:00:00Z --eps 1.53 --clear net_income"],
  news: ["news", "--vendor x --published-at 2024-01-02T15:30:00Z --title Headline --url https://example.com/1"],
  signal: ["signals", "--vendor x --symbol A --name momentum --ts 2024-01-02T00:00:00Z --value 0.7"],
};

export function write(command: Command, shell: Shell): void {
  for (const [row, [name, example]] of Object.entries(ROWS)) {
    const dataset = datasetNamed(name);
    const one = command.command(row).description(`Write one row of ${name}. ${dataset.description}`);
    addFieldFlags(one, dataset)
      .option("--clear <columns>", "values to make null, with commas between; what is not given stays as it is stored")
      .option("--timezone <zone>", `zone of ${flagOf(dataset.time.name)} where it names none`);
    addJsonFlag(addTenantFlags(one)).action((flags: WriteFlags) => writeRow(shell, name, flags));
    addExamples(one, `npx mds write ${row} ${example}`);
  }
  addExamples(command, `npx mds write bar ${ROWS["bar"]![1]}`);
}

/** A flag for each column, and hidden ones for its other names. */
function addFieldFlags(command: Command, dataset: DatasetShape): Command {
  for (const { name, aliases = [], description } of columnsOf(dataset)) {
    const others = aliases.map(flagOf);
    const also = others.length === 0 ? "" : ` (also ${others.join(", ")})`;
    command.option(`${flagOf(name)} <value>`, `${description}${also}`);
    for (const alias of others) command.addOption(command.createOption(`${alias} <value>`).hideHelp());
  }
  return command;
}

async function writeRow(shell: Shell, name: DatasetName, flags: WriteFlags): Promise<void> {
  const zone = flags.timezone === undefined ? undefined : timeZone(flags.timezone);
  const row = rowOf(datasetNamed(name), flags);
  // What can be known without a database should not need one.
  const wrong = new RowBatch(datasetNamed(name), 1, zone).add(row);
  if (wrong !== undefined) {
    rejected(shell, wrong.message, wrong.code);
    return;
  }
  await withStore(shell, shell.configure({ dsn: flags.dsn, tenant: flags.tenant }), "write", async (store, signal) => {
    const result = await store.dataset(name).upsert([row], { signal, ...(zone && { timeZone: zone }) });
    const { rejections, inserted, updated, unchanged } = result;
    for (const { message, code } of rejections) rejected(shell, message, code);
    if (flags.json) await shell.output.json({ inserted, updated, unchanged, rejected: rejections.length });
    else if (rejections.length === 0)
      shell.output.note(inserted > 0 ? "Inserted." : updated > 0 ? "Updated." : "Unchanged.");
  });
}

function rejected(shell: Shell, message: string, code: string): void {
  shell.output.note(`mds: The row was not written: ${message} (${code})`);
  shell.exitCode = EXIT.rejected;
}

/** @throws StoreError `usage` for a missing part of the key, a field that is given twice, and one that is unknown. */
function rowOf(dataset: DatasetShape, flags: WriteFlags): Record<string, string | null> {
  const row: Record<string, string | null> = {};
  for (const { name, aliases = [] } of columnsOf(dataset)) {
    for (const spelling of [name, ...aliases]) {
      const value = (flags as Readonly<Record<string, unknown>>)[optionKeyOf(spelling)];
      if (typeof value !== "string") continue;
      if (name in row) throw new StoreError("usage", `${flagOf(name)} is given twice, once as ${flagOf(spelling)}.`);
      row[name] = value;
    }
  }
  const missing = [...dataset.dimensions, dataset.time].filter(({ name }) => !(name in row));
  if (missing.length > 0) {
    throw new StoreError("usage", `A row needs ${missing.map((column) => flagOf(column.name)).join(", ")} too.`);
  }
  for (const column of flags.clear?.split(",") ?? []) clear(dataset, row, column.trim());
  return row;
}

function clear(dataset: DatasetShape, row: Record<string, string | null>, column: string): void {
  const known = dataset.values.filter(({ required }) => !required).map(({ name }) => name);
  if (!known.includes(column)) {
    throw new StoreError("usage", `--clear names "${column}"; what can be made null is ${known.join(", ")}.`);
  }
  if (column in row) throw new StoreError("usage", `${flagOf(column)} and --clear ${column} contradict each other.`);
  row[column] = null;
}
