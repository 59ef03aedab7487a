/**
 * Canonical JSON as RFC 8785 has it: no white space, members in the order of their UTF-16 code units, so that other
 * languages can make the same text. It trusts that the value is JSON.
 */

/** The text of a JSON value; a bigint is written as its digits, a member that is undefined counts as absent. */
export function canonicalJson(value: unknown): string {
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).filter(([, each]) => each !== undefined);
  members.sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([name, each]) => `${JSON.stringify(name)}:${canonicalJson(each)}`).join(",")}}`;
}
