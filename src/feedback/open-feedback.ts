/** The feedback of a process as its settings say: a bus, and the webhook on it where one is wanted. */
import type { Config } from "../config/settings.ts";
import { messageOf, StoreError } from "../errors/store-error.ts";
import type { IngestMetrics } from "../telemetry/ingest-metrics.ts";
import type { Logger } from "../telemetry/logger.ts";
import { FeedbackBus } from "./feedback-bus.ts";
import { HttpWebhook } from "./http-webhook.ts";

type FeedbackConfig = Pick<
  Config,
  | "feedbackEnabled"
  | "feedbackHttpEnabled"
  | "feedbackHttpEndpoint"
  | "feedbackHttpTimeoutSec"
  | "feedbackHttpMaxRetries"
  | "feedbackHttpBackoffSec"
>;

interface OpenFeedback {
  /** For coordinators; undefined when feedback is switched off. */
  readonly bus: FeedbackBus | undefined;
  /** Ends what is under way. */
  readonly close: () => void;
}

/** @throws StoreError `config_invalid` when feedback is to be sent and it is not said where to. */
export function openFeedback(
  config: FeedbackConfig,
  { metrics, log }: { readonly metrics?: IngestMetrics; readonly log?: Pick<Logger, "warn"> } = {},
): OpenFeedback {
  if (!config.feedbackEnabled) return { bus: undefined, close: () => {} };
  const bus = new FeedbackBus({
    onOutcome: (subscriber, outcome, error) => {
      metrics?.countFeedback(subscriber, outcome);
      if (error !== undefined) log?.warn({ subscriber, error: messageOf(error) }, "Feedback was not delivered.");
    },
  });
  if (!config.feedbackHttpEnabled) return { bus, close: () => {} };
  if (config.feedbackHttpEndpoint === undefined) {
    throw new StoreError(
      "config_invalid",
      "MDS_FB_ENABLE_HTTP_BROADCAST is on and MDS_FB_HTTP_ENDPOINT is not set; set it, or switch the other off.",
    );
  }
  const webhook = new HttpWebhook({
    endpoint: config.feedbackHttpEndpoint,
    timeoutMs: config.feedbackHttpTimeoutSec * 1_000,
    maxRetries: config.feedbackHttpMaxRetries,
    backoffMs: config.feedbackHttpBackoffSec * 1_000,
  });
  const unsubscribe = bus.subscribe(webhook);
  return {
    bus,
    close: () => {
      unsubscribe();
      webhook.close();
    },
  };
}
