/**
 * The log: one JSON object a line on stdout, with a level, a time and a message. Every line passes through
 * `hideSecrets` as the last thing before it is written, so nothing that is logged can bring a password out.
 */
import { type DestinationStream, destination, type Logger as PinoLogger, pino, stdTimeFunctions } from "pino";
import { hideSecrets } from "../errors/hide-secrets.ts";

/** Least level that is logged. */
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

/** What the project needs of a log. An error goes under `err`. */
export type Logger = Pick<PinoLogger, "debug" | "info" | "warn" | "error" | "fatal" | "isLevelEnabled">;

interface LoggerOptions {
  readonly level: LogLevel;
  /** Where lines go; default: stdout, written at once, so that the last line before an exit is not lost. */
  readonly stream?: DestinationStream;
}

/** Makes a log. Its lines carry `service`, `level` by name, `time` in ISO 8601 and `msg`. */
export function createLogger(options: LoggerOptions): Logger {
  return pino(
    {
      level: options.level,
      base: { service: "market-data-store" },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: hideSecrets },
    },
    options.stream ?? destination({ fd: 1, sync: true }),
  );
}
