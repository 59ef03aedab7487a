/** How times leave the database for people and for JSON. */

/** SQL for a timestamptz as ISO 8601 text in UTC with six digits; null stays null. `expression` is SQL of ours. */
export function utcText(expression: string): string {
  return `to_char(${expression} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
}
