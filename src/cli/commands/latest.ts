/** `mds latest`: for each symbol the close of the bar whose interval ends last. */
import type { Command } from "commander";
import { formatTime } from "../../datasets/values/time.ts";
import { withStore } from "../connect.ts";
import { addExamples, addJsonFlag, addTenantFlags, collect, type TenantFlags } from "../flags.ts";
import { otherCaseHint } from "../other-case.ts";
import type { Shell } from "../shell.ts";
import { tableText } from "../table.ts";

interface LatestFlags extends TenantFlags {
  readonly vendor: readonly string[];
  readonly json?: boolean;
}

const COLUMNS = [
  { name: "vendor" },
  { name: "symbol" },
  { name: "price", isNumber: true },
  { name: "price_timestamp" },
] as const;

export function latest(command: Command, shell: Shell): void {
  command
    .argument("<symbol...>", "symbols, as the vendor spells them")
    .requiredOption("--vendor <vendor>", "where prices come from; may be given several times", collect);
  addJsonFlag(addTenantFlags(command)).action((symbols: string[], { dsn, tenant, vendor, json }: LatestFlags) =>
    withStore(shell, shell.configure({ dsn, tenant }), "latest", async (store, signal) => {
      const prices = await store.bars.latest({ vendors: vendor, symbols }, { signal });
      const rows = prices.map((row) => ({ ...row, price_timestamp: formatTime(row.price_timestamp) }));
      if (json) await shell.output.json(rows);
      else await shell.output.data(tableText(COLUMNS, rows.map(cellsOf)));
      const found = new Set(prices.map(({ symbol }) => symbol));
      const missing = symbols.filter((symbol) => !found.has(symbol));
      if (missing.length === 0) return;
      const hint = await otherCaseHint(store.dataset("bars"), { vendor, symbol: missing }, signal);
      shell.output.note([`There is no price of ${missing.join(", ")}.`, ...(hint ? [hint] : [])].join(" "));
    }),
  );
  addExamples(command, "npx mds latest --vendor coinbase BTC-USD ETH-USD");
}

function cellsOf(row: { vendor: string; symbol: string; price: number; price_timestamp: string }): string[] {
  return [row.vendor, row.symbol, String(row.price), row.price_timestamp];
}
