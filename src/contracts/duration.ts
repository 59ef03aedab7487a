/**
 * Lengths of time as policies spell them on every wire: whole days, months or years. Nothing finer or mixed: what is
 * kept is decided by calendar days at best, and a mistaken unit must not pass.
 */

/** What is allowed, as the end of the sentence "It must be …". */
export const DURATION_ALLOWED =
  'whole days, months or years, up to a century, such as "90 days", "6 months", "2 years" or "P90D"';

const WORDS = /^([1-9]\d{0,4}) (day|month|year)s?$/;
const ISO = /^P([1-9]\d{0,4})([DMY])$/;
const ISO_UNITS: Readonly<Record<string, Unit>> = { D: "day", M: "month", Y: "year" };
const MOST = { day: 36_500, month: 1_200, year: 100 } as const;

type Unit = keyof typeof MOST;

/** One spelling for each length: `90 days`, `6 months`, `1 year`; twelve months are a year. Undefined for anything else. */
export function parseDuration(text: string): string | undefined {
  const [, digits, unitName] = WORDS.exec(text) ?? ISO.exec(text) ?? [];
  if (digits === undefined || unitName === undefined) return undefined;
  const unit = ISO_UNITS[unitName] ?? (unitName as Unit);
  const count = Number(digits);
  if (count > MOST[unit]) return undefined;
  return unit === "month" && count % 12 === 0 ? spelt(count / 12, "year") : spelt(count, unit);
}

function spelt(count: number, unit: Unit): string {
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}
