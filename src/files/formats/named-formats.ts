/** All named formats: what `--format NAME` may be besides csv and ndjson. */
import { alpaca } from "./alpaca.ts";
import { binance } from "./binance.ts";
import type { NamedFormat } from "./named-format.ts";
import { polygon } from "./polygon.ts";
import { yahoo } from "./yahoo.ts";

export const NAMED_FORMATS: readonly NamedFormat[] = [alpaca, binance, polygon, yahoo];
