/**
 * Keeps the runtime's memory for short-lived objects small: it grows to 100 MB and more by itself, under rows as well as
 * while a program is loaded, and is hardly given back. It is never made smaller by this.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/** Millions of rows pass through this much as fast, measured with files of 2 M rows. */
const ENOUGH_BYTES = 8_388_608;
/** The one flag on it that is read again after the start. The command holds the service so from its first line. */
const [GROWS, STAYS] = ["--semi-space-growth-factor=2", "--semi-space-growth-factor=1"];

/** A function to call now and then while rows pass through; it lets the memory grow until it is enough, and no further. */
export function youngHeapBound(): () => void {
  let state: "untouched" | "grows" | "enough" = "untouched";
  return () => {
    if (state === "enough") return;
    if (state === "untouched") setFlagsFromString(GROWS);
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
    state = young === undefined || young.space_size >= ENOUGH_BYTES ? "enough" : "grows";
    if (state === "enough" && young !== undefined) setFlagsFromString(STAYS);
  };
}
