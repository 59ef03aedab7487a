/** Asks a person for a word before something that cannot be undone. Only a terminal can be asked. */
import { createInterface } from "node:readline/promises";

/** Whether there is somebody to ask. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/** Whether the answer is the word; an end of the input is none. */
export async function confirmed(question: string, word: string, signal: AbortSignal): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const ended = new AbortController();
  terminal.once("close", () => ended.abort());
  // A terminal in line mode gives Ctrl-C to this interface and not to the process.
  terminal.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
  try {
    const answer = await terminal.question(question, { signal: AbortSignal.any([signal, ended.signal]) });
    return answer.trim() === word;
  } catch {
    signal.throwIfAborted();
    return false;
  } finally {
    terminal.close();
  }
}
