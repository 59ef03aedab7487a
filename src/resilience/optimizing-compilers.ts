/**
 * The runtime's optimizing compilers. An idle service gains nothing by them, and 8 MB of the runtime's binary come into
 * memory when they first run; so the command starts the service without them, and with a collector that saves memory
 * rather than time. It gets them, for good, when rows come or when anything else keeps it busy for more than a second.
 * Without them the same code runs, at a third of its speed.
 */
import { setFlagsFromString } from "node:v8";

/** Since which version of V8 the collector has the mode in which the command starts it. */
const SAVER_SINCE = 13;
const LOOK_MS = 500;
/** Of one processor, so that a busy machine does not hide work. The jobs of every minute take a tenth of it at most. */
const BUSY_SHARE = 0.25;
/** In a row. A start is over sooner. */
const BUSY_LOOKS = 3;

/** Lets the runtime optimize from now on; in a process that does so already it changes nothing. */
export function startOptimizing(): void {
  setFlagsFromString("--turbofan");
  setFlagsFromString("--maglev");
  if (Number.parseInt(process.versions.v8, 10) >= SAVER_SINCE) setFlagsFromString("--no-memory-saver-mode");
}

/** Watches this process's processor time until it is busy, and then lets it optimize; the answer ends the watch. */
export function optimizeWhenBusy(): () => void {
  let usage = process.cpuUsage();
  let lookedAt = performance.now();
  let busyLooks = 0;
  const look = (): void => {
    const { user, system } = process.cpuUsage(usage);
    const share = (user + system) / 1_000 / (performance.now() - lookedAt);
    usage = process.cpuUsage();
    lookedAt = performance.now();
    busyLooks = share < BUSY_SHARE ? 0 : busyLooks + 1;
    if (busyLooks < BUSY_LOOKS) return;
    clearInterval(timer);
    startOptimizing();
  };
  const timer = setInterval(look, LOOK_MS).unref();
  return () => clearInterval(timer);
}
