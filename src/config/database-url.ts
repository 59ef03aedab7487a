/**
 * Reads a database URL: accepts the three schemes in use, refuses what would be read as another host than was meant,
 * and gives it back as `postgresql://…`. It connects to nothing and never puts the URL into an error.
 */
const SCHEME = /^(?:postgres|postgresql|postgresql\+psycopg):\/\//i;

/** The URL as `postgresql://…`, or undefined when it is not one. */
export function readDatabaseUrl(text: string): string | undefined {
  if (!SCHEME.test(text)) return undefined;
  const normalised = text.replace(SCHEME, "postgresql://");
  return isSound(normalised) ? normalised : undefined;
}

function isSound(text: string): boolean {
  if (/\s/.test(text) || !URL.canParse(text)) return false;
  const url = new URL(text);
  // An unencoded `/`, `?` or `#` in a password ends the host too early; the rest then holds the `@`.
  const loginWasCut = url.username === "" && `${url.pathname}${url.search}`.includes("@");
  return !loginWasCut && url.hash === "" && decodes(url.username) && decodes(url.password);
}

function decodes(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
