/** The settings of coordinators and of feedback, as config/settings.ts lists them among all others. */
import { BOOLEAN_ALLOWED, decimalNumber, readBoolean, setting, wholeNumber } from "./setting.ts";

function readHttpUrl(text: string): string | undefined {
  return URL.canParse(text) && /^https?:\/\//i.test(text) ? text : undefined;
}

/** Those of ingestion, by the key under which the program reads them. */
export const INGEST_SETTINGS = {
  coordinatorCapacity: setting({
    name: "MDS_COORDINATOR_CAPACITY",
    read: wholeNumber(16, 10_000_000),
    default: undefined as number | undefined,
    defaultText: "10000, or 4 × workers × batch size where that is more",
    allowed: "a whole number from 16 to 10000000, at least 4 × workers × batch size",
    meaning: "Rows that a coordinator holds at most, from acceptance until each is stored or given up.",
  }),
  coordinatorWorkers: setting({
    name: "MDS_COORDINATOR_WORKERS",
    read: wholeNumber(1, 64),
    default: 4,
    allowed: "a whole number from 1 to 64",
    meaning: "Batches that a coordinator writes at the same time, each over a connection of its own.",
  }),
  coordinatorBatchSize: setting({
    name: "MDS_COORDINATOR_BATCH_SIZE",
    read: wholeNumber(1, 50_000),
    default: undefined as number | undefined,
    defaultText: "2000, or less where the capacity is small",
    allowed: "a whole number from 1 to 50000",
    meaning: "Rows that a coordinator writes in one statement.",
  }),
  coordinatorFlushIntervalSec: setting({
    name: "MDS_COORDINATOR_FLUSH_INTERVAL",
    read: decimalNumber(0, 3_600),
    default: 0.25,
    allowed: "a number from 0 to 3600 (seconds)",
    meaning: "How long an accepted row waits for its batch to fill.",
  }),
  retryMaxAttempts: setting({
    name: "MDS_RETRY_MAX_ATTEMPTS",
    read: wholeNumber(1, 1_000),
    default: 5,
    allowed: "a whole number from 1 to 1000",
    meaning: "How often a batch is tried that fails while others succeed; then it goes to the dead letters.",
  }),
  retryInitialBackoffMs: setting({
    name: "MDS_RETRY_INITIAL_BACKOFF_MS",
    read: wholeNumber(0, 3_600_000),
    default: 50,
    allowed: "a whole number from 0 to 3600000 (milliseconds)",
    meaning: "The pause before the first retry.",
  }),
  retryMaxBackoffMs: setting({
    name: "MDS_RETRY_MAX_BACKOFF_MS",
    read: wholeNumber(0, 3_600_000),
    default: 2_000,
    allowed: "a whole number from 0 to 3600000 (milliseconds)",
    meaning: "The longest pause between two tries.",
  }),
  retryBackoffMultiplier: setting({
    name: "MDS_RETRY_BACKOFF_MULTIPLIER",
    read: decimalNumber(1, 100),
    default: 2,
    allowed: "a number from 1 to 100",
    meaning: "By how much each pause is longer than the one before.",
  }),
  retryJitter: setting({
    name: "MDS_RETRY_JITTER",
    read: readBoolean,
    default: true,
    allowed: BOOLEAN_ALLOWED,
    meaning: "Whether a random part of up to half is taken off each pause.",
  }),
  breakerFailureThreshold: setting({
    name: "MDS_CB_FAILURE_THRESHOLD",
    read: wholeNumber(1, 1_000_000),
    default: 5,
    allowed: "a whole number from 1 to 1000000",
    meaning: "Failures in a row after which the database counts as away and is only probed.",
  }),
  breakerHalfOpenAfterSec: setting({
    name: "MDS_CB_HALF_OPEN_AFTER_SEC",
    read: decimalNumber(0, 3_600),
    default: 60,
    allowed: "a number from 0 to 3600 (seconds)",
    meaning: "The time between two probes of a database that is away.",
  }),
  metricsQueuePollSec: setting({
    name: "MDS_METRICS_QUEUE_POLL_SEC",
    read: decimalNumber(0, 3_600),
    default: 0.25,
    allowed: "a number from 0 to 3600 (seconds)",
    meaning: "For so long the gauges of a queue are good: they are read at a scrape, and not again within this time.",
  }),
  feedbackEnabled: setting({
    name: "MDS_FB_ENABLE_FEEDBACK",
    read: readBoolean,
    default: true,
    allowed: BOOLEAN_ALLOWED,
    meaning: "Whether producers are told how full the queue is.",
  }),
  feedbackHttpEnabled: setting({
    name: "MDS_FB_ENABLE_HTTP_BROADCAST",
    read: readBoolean,
    default: false,
    allowed: BOOLEAN_ALLOWED,
    meaning: "Whether feedback is sent to MDS_FB_HTTP_ENDPOINT.",
  }),
  feedbackHttpEndpoint: setting({
    name: "MDS_FB_HTTP_ENDPOINT",
    read: readHttpUrl,
    default: undefined as string | undefined,
    defaultText: "none",
    secret: true,
    allowed: "an http:// or https:// address",
    meaning: "Where feedback is sent, one POST an event.",
  }),
  feedbackHttpTimeoutSec: setting({
    name: "MDS_FB_HTTP_TIMEOUT",
    read: decimalNumber(0.01, 600),
    default: 2.5,
    allowed: "a number from 0.01 to 600 (seconds)",
    meaning: "How long one try of sending feedback may take.",
  }),
  feedbackHttpMaxRetries: setting({
    name: "MDS_FB_HTTP_MAX_RETRIES",
    read: wholeNumber(0, 100),
    default: 3,
    allowed: "a whole number from 0 to 100",
    meaning: "How often sending an event is tried again.",
  }),
  feedbackHttpBackoffSec: setting({
    name: "MDS_FB_HTTP_BACKOFF",
    read: decimalNumber(0, 600),
    default: 0.5,
    allowed: "a number from 0 to 600 (seconds)",
    meaning: "The pause before feedback is sent again; it doubles with each retry.",
  }),
} as const;
