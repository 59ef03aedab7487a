/**
 * JSON text, token by token. V8's JSON.parse mistakes escaped keys in Node 24 and 26 once it has seen a key that is a
 * backslash (https://github.com/nodejs/node/issues/63785), so text with escapes is put together here, from strings and
 * numbers that are parsed one by one.
 */

/** A string with its quotes, a number, a word, or one of `{}[],:`. */
const TOKEN = /[ \t\r\n]*("(?:[^"\\]|\\.)*"|-?[\d.eE+-]+|true|false|null|[{}[\],:])/y;

/** The tokens of valid JSON, each with where it begins. */
export function* jsonTokens(text: string): Generator<{ readonly token: string; readonly at: number }> {
  TOKEN.lastIndex = 0;
  let from = 0;
  for (;;) {
    TOKEN.lastIndex = from; // shared with whoever else is reading
    const match = TOKEN.exec(text);
    if (match === null) return;
    from = TOKEN.lastIndex;
    yield { token: match[1]!, at: from - match[1]!.length };
  }
}

/**
 * The value of JSON text, keys as written.
 *
 * @throws SyntaxError where it is no JSON.
 */
export function parseJsonText(text: string): unknown {
  const parsed: unknown = JSON.parse(text);
  if (!text.includes("\\")) return parsed;
  const tokens = jsonTokens(text);
  const next = (): string => tokens.next().value!.token;
  return readValue(next(), next);
}

function readValue(token: string, next: () => string): unknown {
  if (token === "{") {
    const object: Record<string, unknown> = {};
    for (let name = next(); name !== "}"; name = next()) {
      if (name === ",") continue;
      next(); // the colon
      const value = readValue(next(), next);
      Object.defineProperty(object, JSON.parse(name) as string, {
        value,
        writable: true,
        enumerable: true,
        configurable: true,
      });
    }
    return object;
  }
  if (token !== "[") return JSON.parse(token);
  const array: unknown[] = [];
  for (let each = next(); each !== "]"; each = next()) if (each !== ",") array.push(readValue(each, next));
  return array;
}

/** The text of each member of a JSON object that is an object or array itself, by name. */
export function nestedTexts(text: string): Map<string, string> {
  const nested = new Map<string, string>();
  let depth = 0;
  let name = "";
  let last = "";
  let start = 0;
  for (const { token, at } of jsonTokens(text)) {
    if (token === ":" && depth === 1) name = JSON.parse(last) as string;
    if ((token === "{" || token === "[") && ++depth === 2) start = at;
    if ((token === "}" || token === "]") && --depth === 1) nested.set(name, text.slice(start, at + 1));
    last = token;
  }
  return nested;
}
