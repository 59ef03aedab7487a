/** Makes the service's ingestion of the settings: its metrics, where its folders are, and who hears its feedback. */
import { deadLetterFolder, spoolPlace } from "../config/data-folders.ts";
import type { Config } from "../config/settings.ts";
import { coordinatorTuning } from "../coordinator/coordinator-options.ts";
import { LetterCounter } from "../coordinator/dead-letters/letter-count.ts";
import { FeedbackBus } from "../feedback/feedback-bus.ts";
import { IngestMetrics } from "../telemetry/ingest-metrics.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StoreMetrics } from "../telemetry/metrics.ts";
import { SpoolMetrics } from "../telemetry/spool-metrics.ts";
import { ServiceIngest } from "./service-ingest.ts";

interface CreateIngestOptions {
  readonly config: Config;
  /** Where the database is, with the service's login; once it is known. */
  readonly url: () => Promise<string>;
  readonly log: Logger;
  readonly metrics: StoreMetrics;
}

/** Nothing is opened and no folder made before `start`. */
export async function createIngest({ config, url, log, metrics }: CreateIngestOptions): Promise<ServiceIngest> {
  const ingestMetrics = new IngestMetrics(metrics.registry, { pollMs: config.metricsQueuePollSec * 1_000 });
  const spoolMetrics = new SpoolMetrics(metrics.registry);
  const deadLetterDir = deadLetterFolder(config);
  const letters = new LetterCounter(deadLetterDir);
  spoolMetrics.watchDeadLetters(() => letters.count());
  const feedback = config.feedbackEnabled ? createFeedback(ingestMetrics, log) : undefined;
  const closeWebhook = feedback && (await subscribeWebhook(feedback, config, log));
  return new ServiceIngest({
    url,
    tuning: coordinatorTuning(config),
    spool: spoolPlace(config),
    deadLetterDir,
    feedback,
    onStopped: () => closeWebhook?.(),
    log,
    metrics,
    ingestMetrics,
    spoolMetrics,
  });
}

function createFeedback(metrics: IngestMetrics, log: Logger): FeedbackBus {
  return new FeedbackBus({
    onOutcome: (subscriber, outcome, err) => {
      metrics.countFeedback(subscriber, outcome);
      if (outcome === "failed") log.debug({ err, subscriber }, "Feedback could not be delivered.");
    },
  });
}

/** What closes it, where there is one. */
async function subscribeWebhook(bus: FeedbackBus, config: Config, log: Logger): Promise<(() => void) | undefined> {
  if (!config.feedbackHttpEnabled) return undefined;
  if (config.feedbackHttpEndpoint === undefined) {
    log.warn("MDS_FB_ENABLE_HTTP_BROADCAST is set, and MDS_FB_HTTP_ENDPOINT is not: feedback is sent nowhere.");
    return undefined;
  }
  const { HttpWebhook } = await import("../feedback/http-webhook.ts");
  const webhook = new HttpWebhook({
    endpoint: config.feedbackHttpEndpoint,
    timeoutMs: config.feedbackHttpTimeoutSec * 1_000,
    maxRetries: config.feedbackHttpMaxRetries,
    backoffMs: config.feedbackHttpBackoffSec * 1_000,
  });
  bus.subscribe(webhook);
  return () => webhook.close();
}
