/**
 * Reads a database URL: accepts the three schemes in use, refuses what would be read as another host than was meant,
 * and gives it back as `postgresql://…`. It connects to nothing and never puts the URL into an error.
 */
import { z } from "zod";

const SCHEME = /^(?:postgres|postgresql|postgresql\+psycopg):\/\//i;

/** From text to a normalised URL. */
export const databaseUrl: z.ZodType<string, string> = z.string().transform((text, context) => {
  const normalised = text.replace(SCHEME, "postgresql://");
  if (SCHEME.test(text) && isSound(normalised)) return normalised;
  context.issues.push({ code: "custom", input: "", message: "not a database URL" });
  return z.NEVER;
});

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
