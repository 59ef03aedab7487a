/** Arguments for any function, by the types of its parameters: each variant is one way to be absurd or nosy. */
import type { AttackedFunction } from "./catalog.ts";

/** More than all series of the arena, so that guesses hit every tenant's. */
export const GUESSED_IDS = 60;
const HOSTILE_TEXT = "'; drop table store.bars_data; -- %I %s $1 \\ \" \u{1f642} ";
const NOW = "'2024-01-05T09:30:00Z'::timestamptz";

/** What to pass for a type, and for an array of it. */
interface Palette {
  /** A value that is possible. */
  readonly plain: string;
  /** The ends of its range. */
  readonly most: string;
  readonly least: string;
}

const PALETTES: Readonly<Record<string, Palette>> = {
  integer: { plain: "7", most: "2147483647", least: "-2147483648" },
  bigint: { plain: "7", most: "9223372036854775807", least: "-9223372036854775808" },
  "double precision": { plain: "5", most: "'infinity'", least: "'NaN'" },
  numeric: { plain: "5", most: "1e400", least: "'NaN'" },
  text: { plain: "'C'", most: "repeat('x', 100000)", least: "''" },
  name: { plain: "'postgres'", most: "'mds_app'", least: "''" },
  boolean: { plain: "true", most: "true", least: "false" },
  uuid: {
    plain: "'00000000-0000-4000-8000-000000000001'",
    most: "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
    least: "'00000000-0000-0000-0000-000000000000'",
  },
  bytea: { plain: "decode('000102030405060708090a0b0c0d0e0f', 'hex')", most: "decode('ff', 'hex')", least: "''" },
  jsonb: { plain: "'{}'", most: "'{\"x\": 1e400}'", least: "'null'" },
  interval: { plain: "'1 second'", most: "'170000000 years'", least: "'-170000000 years'" },
  "timestamp with time zone": { plain: NOW, most: "'infinity'", least: "'-infinity'" },
};

/** Possible values of parameters that do not take any value of their type; elements of those that are lists. */
const NAMED: Readonly<Record<string, string>> = {
  dataset: "'bars'",
  mode: "'live'",
  status: "'failed'",
  timeframe_values: "'1m'",
  named_timeframes: "'5m'",
  only_timeframes: "'5m'",
  max_bars: "1000000",
  expiry_values: "'2030-01-01'",
  strike_values: "'5'",
  sentiment_score_values: "0.5",
  config_fingerprint: "'0123456789abcdef'",
};

export type Variant = (typeof VARIANTS)[number];
export const VARIANTS = [
  "possible values",
  "nulls",
  "guesses",
  "most",
  "least",
  "empty lists",
  "lists of nulls",
  "lists of different lengths",
  "lists of lists",
  "hostile text",
] as const;

/** What a visitor may really name, of its own tenant: a series of the function's dataset, and a run. */
export interface OwnIds {
  readonly series: number;
  readonly run: string;
}

/** `schema.name(…)`, as one call. */
export function callOf(called: AttackedFunction, variant: Variant, own: OwnIds): string {
  const list = called.argTypes.map((type, at) => {
    const element = type.replace(/\[\]$/, "");
    const palette = PALETTES[element];
    if (palette === undefined) {
      throw new Error(`No attack knows what to pass for a parameter of type ${type}; add it to PALETTES.`);
    }
    const plain = plainValue(called.argNames[at] ?? "", palette, own);
    const make = type.endsWith("[]") ? listOf : scalarOf;
    return `${make(element, { ...palette, plain }, at, variant)}::${type}`;
  });
  return `${called.schema}.${called.name}(${list.join(", ")})`;
}

function plainValue(name: string, { plain }: Palette, own: OwnIds): string {
  if (name === "series_ids") return String(own.series);
  return name === "run_id" ? `'${own.run}'` : (NAMED[name] ?? plain);
}

function scalarOf(element: string, { plain, most, least }: Palette, at: number, variant: Variant): string {
  if (variant === "nulls") return "null";
  if (variant === "most") return most;
  if (variant === "least") return least;
  if (element === "text" && variant === "hostile text") return `'${HOSTILE_TEXT.replaceAll("'", "''")}'`;
  if (variant !== "guesses")
    return element === "timestamp with time zone" && at % 2 === 0 ? `(${plain} + interval '1 day')` : plain;
  // A nosy question is about everything: any window, any number of rows.
  if (element === "timestamp with time zone") return at % 2 === 0 ? "'infinity'" : "'-infinity'";
  return element === "integer" ? "100000" : plain;
}

function listOf(element: string, { plain, most, least }: Palette, at: number, variant: Variant): string {
  switch (variant) {
    case "possible values":
      return `array[${plain}]`;
    case "nulls":
      return "null";
    case "guesses":
      if (element === "integer") return `array(select generate_series(1, ${GUESSED_IDS}))`;
      return element === "text" ? "null" : `array(select ${plain}::${element} from generate_series(1, ${GUESSED_IDS}))`;
    case "most":
      return `array[${most}]`;
    case "least":
      return `array[${least}]`;
    case "empty lists":
      return "'{}'";
    case "lists of nulls":
      return "array[null, null]";
    case "lists of different lengths":
      return `array(select ${plain}::${element} from generate_series(1, ${1 + (at % 3)}))`;
    case "lists of lists":
      return `array[array[${plain}, ${plain}], array[${plain}, ${plain}]]`;
    case "hostile text":
      return element === "text" ? `array['${HOSTILE_TEXT.replaceAll("'", "''")}', null]` : `array[${plain}, ${plain}]`;
    default:
      return variant satisfies never;
  }
}
