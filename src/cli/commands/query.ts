/** `mds query bars`: the rows of a window as they are stored, printed as they come. */
import { Argument, type Command, Option } from "commander";
import type { Store } from "../../client/open-store.ts";
import { LATEST_WINDOW_MS, type WindowQuery } from "../../client/window.ts";
import { bars } from "../../datasets/bars.ts";
import type { Rejection } from "../../datasets/dataset.ts";
import { parseText } from "../../datasets/values/text.ts";
import { parseTime } from "../../datasets/values/time.ts";
import { timeZone } from "../../datasets/values/time-zone.ts";
import { parseTimeframe } from "../../datasets/values/timeframe.ts";
import { StoreError } from "../../errors/store-error.ts";
import { withStore } from "../connect.ts";
import { addExamples, addJsonFlag, addTenantFlags, collect, type TenantFlags, wholeNumber } from "../flags.ts";
import { otherCaseHint } from "../other-case.ts";
import { ROW_FORMATS, type RowFormatName, rowFormat } from "../row-formats.ts";
import type { Shell } from "../shell.ts";

interface QueryFlags extends TenantFlags {
  readonly symbol?: readonly string[];
  readonly vendor?: readonly string[];
  readonly timeframe?: readonly string[];
  readonly start?: string;
  readonly end?: string;
  readonly timezone?: string;
  readonly limit?: number;
  readonly newestFirst?: boolean;
  readonly format: RowFormatName;
  readonly json?: boolean;
}

export function query(command: Command, shell: Shell): void {
  command
    .addArgument(new Argument("<dataset>", "what to read").choices([bars.name]))
    .option("--symbol <symbol>", "only this one; may be given several times", collect)
    .option("--vendor <vendor>", "only this one; may be given several times", collect)
    .option("--timeframe <timeframe>", "only this one, such as 1m or 1d; may be given several times", collect)
    .option("--start <time>", "not before this time, such as 2014-06-05T08:15:00Z")
    .option("--end <time>", "before this time")
    .option("--timezone <zone>", "zone of --start and --end where they name none, such as UTC")
    .option("--limit <rows>", "at most so many rows", wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .option("--newest-first", "within each series the newest row first")
    .addOption(new Option("--format <format>", "how rows are printed").choices(ROW_FORMATS).default("table"));
  addJsonFlag(addTenantFlags(command)).action(async (_dataset: string, flags: QueryFlags) => {
    const window = windowQuery(flags);
    const format = flags.json ? "json" : flags.format;
    await withStore(shell, shell.configure({ dsn: flags.dsn, tenant: flags.tenant }), "query", (store, signal) =>
      print(shell, store, window, format, signal),
    );
  });
  addExamples(
    command,
    "npx mds query bars --symbol BTC-USD --timeframe 1m --start 2016-10-07T00:00:00Z --limit 10",
    "npx mds query bars --vendor coinbase --format csv > bars.csv",
  );
}

type BarsQuery = WindowQuery<typeof bars>;

/** Checks what can be checked before there is a connection: a wrong name or time is wrong usage. */
function windowQuery(flags: QueryFlags): BarsQuery {
  const { symbol, vendor, timeframe, start, end, limit, newestFirst } = flags;
  const zone = flags.timezone === undefined ? undefined : timeZone(flags.timezone);
  const timeOf = (name: string, text: string): bigint => BigInt(valid(parseTime(name, text, zone, LATEST_WINDOW_MS)));
  return {
    ...(symbol && { symbol: symbol.map((one) => valid(parseText("symbol", one))) }),
    ...(vendor && { vendor: vendor.map((one) => valid(parseText("vendor", one))) }),
    ...(timeframe && { timeframe: timeframe.map((one) => valid(parseTimeframe("timeframe", one))) }),
    ...(start !== undefined && { start: timeOf("start", start) }),
    ...(end !== undefined && { end: timeOf("end", end) }),
    ...(limit !== undefined && { limit }),
    ...(newestFirst && { newestFirst }),
  };
}

function valid<Value extends string | number>(value: Value | Rejection): Value {
  if (typeof value === "object") throw new StoreError("usage", value.message);
  return value;
}

async function print(
  shell: Shell,
  store: Store,
  window: BarsQuery,
  formatName: RowFormatName,
  signal: AbortSignal,
): Promise<void> {
  const format = rowFormat(formatName, bars);
  let count = 0;
  for await (const rows of store.bars.read(window, { signal })) {
    await shell.output.data(format.rows(rows));
    count += rows.length;
    if (shell.output.readerIsGone) return;
  }
  await shell.output.data(format.end());
  if (count > 0) return;
  const { symbol, vendor } = window as { symbol?: readonly string[]; vendor?: readonly string[] };
  const hint = await otherCaseHint(store, { ...(symbol && { symbol }), ...(vendor && { vendor }) }, signal);
  shell.output.note(["No bars match.", ...(hint ? [hint] : [])].join(" "));
}
