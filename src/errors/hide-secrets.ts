/**
 * Takes passwords and tokens out of text that people will read: log lines, error messages, tables of settings.
 * It knows shapes (logins in URLs, `password=…`, `"token":"…"`, bearer tokens), not values, and rather hides too
 * much than too little. Every pattern is bounded, so that a long line costs linear time.
 */

const HIDDEN = "***";

/** A password in a database URL may hold an unencoded `/`, `?`, `#` or `@`: all up to the last `@` goes. */
const DATABASE_LOGIN =
  /((?:postgres|postgresql|redis|rediss|mysql|amqp|amqps)(?:\+\w{1,16})?:\/\/[^\s:@/?#"'<>]{0,256}):[^\s"'<>]{0,1024}@/gi;
const URL_LOGIN = /(:\/\/[^\s:@/?#"'<>]{0,256}):[^\s/?#"'<>]{0,1024}@/g;

const SECRET_WORD = "(?:password|passwd|pwd|token|secret|api[_-]?key|authorization)";
const ASSIGNED = new RegExp(`(${SECRET_WORD}\\s?=\\s?)(?:'[^']*'|"[^"]*"|[^\\s&'",;)}]+)`, "gi");
const QUOTED = new RegExp(
  `(${SECRET_WORD}["']?\\s?:\\s?)(?:"(?:[^"\\\\]|\\\\.)*"|'(?:[^'\\\\]|\\\\.)*'|-?\\d[\\d.]*)`,
  "gi",
);
const CREDENTIALS = /\b(bearer|basic)\s+[\w.~+/=-]{4,}/gi;
/** Our own ingest tokens, wherever they stand. */
const INGEST_TOKEN = /\bmds_[\w-]{43}(?![\w-])/g;

/** The text with every recognised secret replaced by `***`. */
export function hideSecrets(text: string): string {
  return text
    .replace(DATABASE_LOGIN, `$1:${HIDDEN}@`)
    .replace(URL_LOGIN, `$1:${HIDDEN}@`)
    .replace(ASSIGNED, `$1${HIDDEN}`)
    .replace(QUOTED, `$1"${HIDDEN}"`)
    .replace(INGEST_TOKEN, HIDDEN)
    .replace(CREDENTIALS, `$1 ${HIDDEN}`);
}
