/** `mds jobs`: the job queue (`list|show|enqueue|cancel|retry`) and the ledger of runs (`runs|stuck|prune|summary`). */
import type { Command } from "commander";
import { addExamples } from "../flags.ts";
import type { Shell } from "../shell.ts";
import { addEnqueue } from "./job-enqueue.ts";
import { addLedgerVerbs } from "./job-ledger.ts";
import { addQueueVerbs } from "./job-queue.ts";

export function jobs(command: Command, shell: Shell): void {
  addQueueVerbs(command, shell);
  addEnqueue(command, shell);
  addLedgerVerbs(command, shell);
  addExamples(command, "npx mds jobs list --state failed", "npx mds jobs enqueue prune-runs --wait");
}
