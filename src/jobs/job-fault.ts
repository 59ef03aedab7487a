/**
 * Why an attempt of a job ended without success, in the form in which the queue keeps it; and whether another attempt
 * may help.
 */
import { hideSecrets } from "../errors/hide-secrets.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";

/** As the wire shows it. */
export interface JobFault {
  readonly code: string;
  readonly message: string;
}

/** More of a message helps nobody, and what a library throws may be a page. */
const MAX_MESSAGE_CHARACTERS = 4_000;
/** What the queue itself writes where no attempt could say anything. */
const TIMED_OUT = /timed out|handler execution exceeded/;

/** Without secrets, and of a length that can be shown. */
export function faultOf(error: unknown): JobFault {
  const code = error instanceof StoreError ? error.code : "internal";
  return { code, message: shortened(messageOf(error)) };
}

/** Only what says so itself is tried again: a fault of unknown kind would most likely come again. */
export function mayHelpToRetry(error: unknown): boolean {
  return error instanceof StoreError && error.retryable;
}

/** Reads what the queue keeps of a job that did not succeed; null where there is nothing. */
export function readFault(output: unknown): JobFault | null {
  if (typeof output !== "object" || output === null) return null;
  const { code, message, value } = output as { code?: unknown; message?: unknown; value?: unknown };
  if (typeof code === "string" && typeof message === "string") return { code, message };
  const said = typeof message === "string" ? message : (value as { message?: unknown } | undefined)?.message;
  if (typeof said !== "string") return null;
  if (TIMED_OUT.test(said)) return { code: "deadline_exceeded", message: "The attempt took longer than a day." };
  return { code: "job_lost", message: "The process that ran the job ended, or lost the database for too long." };
}

/** Fits the text into what is kept of a message. */
export function shortened(text: string, maxCharacters = MAX_MESSAGE_CHARACTERS): string {
  const clean = hideSecrets(text).replaceAll("\0", "\ufffd").toWellFormed();
  return clean.length <= maxCharacters ? clean : `${clean.slice(0, maxCharacters - 1)}…`.toWellFormed();
}
