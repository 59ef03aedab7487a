/** `mds dlq list|show|replay|purge`: rows that could not be stored. Works while a service writes there, and without one. */
import type { Command } from "commander";
import { writePastRows } from "../../client/insert-absent.ts";
import { openStore, type Store } from "../../client/open-store.ts";
import { deadLetterFolder } from "../../config/data-folders.ts";
import type { LoadedConfig } from "../../config/load.ts";
import { type LetterLine, readLetterFiles } from "../../coordinator/dead-letters/letter-files.ts";
import { isMeant, type LetterFilter } from "../../coordinator/dead-letters/letter-filter.ts";
import { purgeLetters, type ReplayRefusal, replayLetters } from "../../coordinator/dead-letters/take-letters.ts";
import { DATASET_NAMES } from "../../datasets/registry.ts";
import { escapeUnsafe } from "../../datasets/values/show-value.ts";
import { StoreError } from "../../errors/store-error.ts";
import { type UsedDatabase, withDatabase } from "../connect.ts";
import { addDatabaseFlag, addExamples, addJsonFlag, type TenantFlags, wholeNumber } from "../flags.ts";
import { EXIT, type Shell } from "../shell.ts";
import { type TableColumn, tableText } from "../table.ts";

interface LetterFlags extends TenantFlags {
  readonly id?: string;
  readonly dataset?: string;
  readonly code?: string;
  readonly json?: boolean;
}
interface ListFlags extends LetterFlags {
  readonly limit: number;
}
interface ReplayFlags extends LetterFlags {
  readonly force?: boolean;
}
interface PurgeFlags extends LetterFlags {
  readonly yes?: boolean;
}

const DEFAULT_LIMIT = 50;
/** As much of an error as fits a line of a table; `show` has all of it. */
const MAX_ERROR_SHOWN = 80;
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

const LETTER_TABLE: readonly TableColumn[] = [
  { name: "id" },
  { name: "ts" },
  { name: "tenant_id" },
  { name: "dataset" },
  { name: "code" },
  { name: "attempts", isNumber: true },
  { name: "error" },
];

export function dlq(command: Command, shell: Shell): void {
  addList(command, shell);
  addShow(command, shell);
  addReplay(command, shell);
  addPurge(command, shell);
  addExamples(command, "npx mds dlq list --code bar_impossible", "npx mds dlq replay --dataset bars");
}

function addList(command: Command, shell: Shell): void {
  const verb = command
    .command("list")
    .description("List dead letters, the newest last.")
    .option("--limit <letters>", "at most so many, the newest", wholeNumber(1, 100_000), DEFAULT_LIMIT);
  addLetterFlags(verb).action(async (flags: ListFlags) => {
    const config = shell.configure({ dsn: flags.dsn });
    const { lines, total, unreadable } = await newestLetters(config, await filterOf(shell, config, flags), flags.limit);
    if (flags.json) await shell.output.json(lines.map(jsonOf));
    else if (lines.length > 0) await shell.output.data(tableText(LETTER_TABLE, lines.map(cellsOf)));
    shell.output.note(`${lines.length} of ${letters(total)} shown.`);
    if (unreadable > 0) shell.output.note(`${unreadable} lines cannot be read as dead letters; they stay as they are.`);
  });
  addExamples(verb, "npx mds dlq list --limit 10", "npx mds dlq list --tenant acme --code bar_impossible --json");
}

function addShow(command: Command, shell: Shell): void {
  const verb = command
    .command("show <id>")
    .description("Print dead letters whose id begins so, whole, as JSON: what was submitted and why it was refused.");
  verb.action(async (id: string) => {
    const { lines } = await newestLetters(shell.configure({}), { id }, 1_000);
    if (lines.length === 0) {
      throw new StoreError("not_found", `There is no dead letter "${id}"; \`mds dlq list\` shows their ids.`);
    }
    await shell.output.json(lines.length === 1 ? jsonOf(lines[0]!) : lines.map(jsonOf));
  });
  addExamples(verb, "npx mds dlq show 1f0c2a9b77de");
}

function addReplay(command: Command, shell: Shell): void {
  const verb = command
    .command("replay")
    .description(
      "Write dead letters to the database where nothing is stored under their keys, and remove those that are stored then.",
    )
    .option("--force", "write over what is stored under their keys, which may be newer");
  addLetterFlags(verb).action((flags: ReplayFlags) => {
    const config = shell.configure({ dsn: flags.dsn });
    return withDatabase(shell, config, (database, signal) => replay(shell, config, flags, database, signal));
  });
  addExamples(verb, "npx mds dlq replay --code constraint_violated", "npx mds dlq replay --id 1f0c2a9b77de --force");
}

async function replay(
  shell: Shell,
  config: LoadedConfig,
  flags: ReplayFlags,
  database: UsedDatabase,
  signal: AbortSignal,
): Promise<void> {
  const { force: overwrite = false } = flags;
  const stores = new TenantStores(database, signal);
  const reasons = new Map<string, { why: ReplayRefusal; letters: number }>();
  try {
    const { replayed, kept } = await replayLetters({
      folder: deadLetterFolder(config.values),
      filter: await filterOf(shell, config, flags, database),
      newestFirst: !overwrite,
      signal,
      write: async (tenantId, dataset, rows) => {
        const store = await stores.of(tenantId);
        if (!("dataset" in store)) return rows.map(() => store);
        return writePastRows(store, dataset, rows, { overwrite, signal });
      },
      onKept: (_, why) => {
        const reason = reasons.get(why.code) ?? { why, letters: 0 };
        reason.letters++;
        reasons.set(why.code, reason);
      },
    });
    const why = [...reasons.values()].map(({ why: { code, message }, letters: count }) => ({
      code,
      letters: count,
      message,
    }));
    if (flags.json) await shell.output.json({ replayed, kept, reasons: why });
    else await shell.output.data(`Replayed ${letters(replayed)}; kept ${kept}.\n`);
    for (const { code, letters: count, message } of why)
      shell.output.note(`${count} kept, ${code}: ${escapeUnsafe(message)}`);
    if (kept > 0) shell.exitCode = EXIT.rejected;
  } finally {
    await stores.close();
  }
}

function addPurge(command: Command, shell: Shell): void {
  const verb = command
    .command("purge")
    .description("Delete dead letters for ever, without storing them.")
    .option("--yes", "do it; without it they are only counted");
  addLetterFlags(verb).action(async (flags: PurgeFlags) => {
    const config = shell.configure({ dsn: flags.dsn });
    const filter = await filterOf(shell, config, flags);
    if (!flags.yes) {
      const { total } = await newestLetters(config, filter, 1);
      throw new StoreError("usage", `This would delete ${letters(total)} for ever; say --yes to do it.`);
    }
    const purged = await purgeLetters(deadLetterFolder(config.values), filter);
    if (flags.json) await shell.output.json({ purged });
    else await shell.output.data(`Deleted ${letters(purged)}.\n`);
  });
  addExamples(verb, "npx mds dlq purge --dataset news --code nul_in_text --yes");
}

function addLetterFlags(command: Command): Command {
  command
    .option("--id <id>", "only those whose id begins so")
    .option("--dataset <dataset>", `only of this dataset: ${DATASET_NAMES.join(", ")}`)
    .option("--code <code>", "only with this error code")
    .option("--tenant <tenant>", "only of this tenant, slug or UUID; unless given, of all");
  return addJsonFlag(addDatabaseFlag(command));
}

async function filterOf(
  shell: Shell,
  config: LoadedConfig,
  { id, dataset, code, tenant }: LetterFlags,
  database?: UsedDatabase,
): Promise<LetterFilter> {
  if (dataset !== undefined && !(DATASET_NAMES as readonly string[]).includes(dataset)) {
    throw new StoreError("usage", `There is no dataset "${dataset}"; these are: ${DATASET_NAMES.join(", ")}.`);
  }
  const tenantId = tenant === undefined ? undefined : await tenantIdOf(shell, config, tenant, database);
  return {
    ...(id !== undefined && { id }),
    ...(dataset !== undefined && { dataset }),
    ...(code !== undefined && { code }),
    ...(tenantId !== undefined && { tenantId }),
  };
}

/** Letters know the tenant's UUID; only the database knows its slug. */
async function tenantIdOf(
  shell: Shell,
  config: LoadedConfig,
  tenant: string,
  database?: UsedDatabase,
): Promise<string> {
  if (UUID.test(tenant)) return tenant.toLowerCase();
  let found = "";
  const look = async ({ url }: UsedDatabase, signal?: AbortSignal): Promise<void> => {
    const store = await openStore({ url, tenant, applicationName: "mds dlq", ...(signal && { signal }) });
    found = store.tenantId;
    await store.close();
  };
  await (database === undefined ? withDatabase(shell, config, look) : look(database));
  return found;
}

interface Found {
  readonly lines: readonly LetterLine[];
  readonly total: number;
  readonly unreadable: number;
}

/** The newest letters that are meant, the newest last, and how many there are. */
async function newestLetters({ values }: LoadedConfig, filter: LetterFilter, limit: number): Promise<Found> {
  let lines: LetterLine[] = [];
  let [total, unreadable] = [0, 0];
  for await (const file of readLetterFiles(deadLetterFolder(values))) {
    const meant = file.filter((line) => isMeant(line, filter));
    unreadable += file.filter((line) => line.letter === undefined).length;
    total += meant.length;
    lines = [...lines, ...meant].slice(-limit);
  }
  return { lines, total, unreadable };
}

/** Stores of the tenants that letters belong to, opened once each. */
class TenantStores {
  readonly #database: UsedDatabase;
  readonly #signal: AbortSignal;
  readonly #stores = new Map<string, Store | ReplayRefusal>();

  constructor(database: UsedDatabase, signal: AbortSignal) {
    this.#database = database;
    this.#signal = signal;
  }

  /** A tenant's store, or why there is none any more. */
  async of(tenantId: string): Promise<Store | ReplayRefusal> {
    const known = this.#stores.get(tenantId);
    if (known !== undefined) return known;
    const { url } = this.#database;
    const options = { url, tenant: tenantId, maxConnections: 1, applicationName: "mds dlq", signal: this.#signal };
    const store = await openStore(options).catch((error: unknown) => {
      if (error instanceof StoreError && error.code === "tenant_unknown") return error;
      throw error;
    });
    this.#stores.set(tenantId, store);
    return store;
  }

  async close(): Promise<void> {
    for (const store of this.#stores.values()) if ("dataset" in store) await store.close();
  }
}

function letters(count: number): string {
  return `${count} dead ${count === 1 ? "letter" : "letters"}`;
}

function jsonOf({ id, text }: LetterLine): object {
  // As it stands in the file: values that JSON lacks keep their typed form.
  return { id, ...(JSON.parse(text) as object) };
}

function cellsOf({ id, letter }: LetterLine): string[] {
  const { at, tenantId, dataset, code, attempts, error } = letter!;
  const shown = escapeUnsafe(error.slice(0, MAX_ERROR_SHOWN));
  return [id, new Date(at).toISOString(), tenantId, dataset, code, String(attempts), shown];
}
