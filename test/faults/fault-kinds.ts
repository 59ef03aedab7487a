/** All kinds of faults. */
import { DATABASE_FAULTS } from "./database-faults.ts";
import type { FaultKind } from "./fault-kind.ts";
import { OTHER_FAULTS } from "./other-faults.ts";
import { PROCESS_FAULTS } from "./process-faults.ts";

export const FAULT_KINDS: readonly FaultKind[] = [...PROCESS_FAULTS, ...DATABASE_FAULTS, ...OTHER_FAULTS];
